using OtpAuthService.V1;

namespace OtpCtl.Commands.Audit;

/// <summary>Audit records as CSV (RFC 4180), all fields, ready to be opened in a spreadsheet.</summary>
internal static class RecordCsv
{
    public const string LineEnd = "\r\n";

    // What spreadsheets take for the start of a formula; Japanese ones also where it is full-width.
    private const string FormulaStarts = "=+-@\t\r\n＝＋－＠";

    public static string Header { get; } = string.Join(',', RecordColumn.All.Select(column => column.Name));

    public static string Of(AuditRecord record) => string.Join(',', RecordColumn.All.Select(column => Field(column.Value(record))));

    /// <summary>
    /// One value: a formula is defused by an apostrophe in front of it, because IDs and reasons are whatever somebody sent, and quotes
    /// stand around what would otherwise end the field.
    /// </summary>
    public static string Field(string value)
    {
        var harmless = value.Length > 0 && FormulaStarts.Contains(value[0]) ? "'" + value : value;
        return harmless.AsSpan().IndexOfAny(",\"\r\n") < 0 ? harmless : $"\"{harmless.Replace("\"", "\"\"", StringComparison.Ordinal)}\"";
    }
}
