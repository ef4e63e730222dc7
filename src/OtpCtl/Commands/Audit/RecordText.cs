using OtpAuthService.V1;

namespace OtpCtl.Commands.Audit;

/// <summary>Audit records for people: one line each, aligned without having seen the others, because they are printed as they come.</summary>
internal static class RecordText
{
    private static readonly RecordColumn[] Columns = [.. RecordColumn.All.Where(column => column.Width > 0)];

    public static string Header { get; } = Join(Columns.Select(column => column.Name + Padding(column, column.Name)));

    public static string Of(AuditRecord record) => Join(Cells(record).Select(cell => cell.Text + Padding(cell.Column, cell.Text)));

    /// <summary>As markup, with the colours that answers have on a terminal.</summary>
    public static string MarkupOf(AuditRecord record) =>
        Join(Cells(record).Select(cell => AnswerText.Coloured(cell.Text) + Padding(cell.Column, cell.Text)));

    /// <summary>A record that was tampered with must not speak to the terminal of the one who looks for that.</summary>
    public static string Printable(string value) => string.Create(value.Length, value, (text, from) =>
    {
        for (var i = 0; i < text.Length; i++)
        {
            text[i] = char.IsControl(from[i]) ? '\uFFFD' : from[i];
        }
    });

    private static IEnumerable<(RecordColumn Column, string Text)> Cells(AuditRecord record) =>
        Columns.Select(column => (column, column.Value(record) is { Length: > 0 } value ? Printable(value) : "-"));

    private static string Padding(RecordColumn column, string text) => new(' ', Math.Max(0, column.Width - text.Length));

    private static string Join(IEnumerable<string> cells) => string.Join("  ", cells).TrimEnd();
}
