using System.Globalization;
using System.Text.Json;

namespace OtpCtl.Commands.Audit;

/// <summary>The newest head that was shipped off the database: what the database itself cannot take back.</summary>
internal sealed record ShippedHead(long Number, byte[] Hash)
{
    private const int HashBytes = 32;

    /// <summary>
    /// The head with the highest number in a file of them, one JSON object per line with at least <c>number</c> and <c>hash</c>. A line
    /// that is no head, as a crash leaves behind, is skipped with a warning.
    /// </summary>
    /// <exception cref="UsageException">There is no head in the file.</exception>
    public static async Task<ShippedHead> ReadNewestAsync(FileInfo file, TextWriter warnings, CancellationToken cancellation)
    {
        ShippedHead? newest = null;
        var warned = false;
        await foreach (var (lineNumber, head) in JsonLines.ReadAsync(file, Parse, "not a head", warnings, cancellation))
        {
            if (newest is null || head.Number > newest.Number)
            {
                newest = head;
            }
            else if (!warned && !(head.Number == newest.Number && head.Hash.AsSpan().SequenceEqual(newest.Hash)))
            {
                // Heads are numbered as they are made: a step back is what a database that was taken back leaves in the file.
                warned = true;
                warnings.WriteLine(string.Create(
                    CultureInfo.InvariantCulture,
                    $"otpctl: line {lineNumber} of {file.Name} has head {head.Number} after head {newest.Number}: was the database taken back in between?"));
            }
        }

        return newest ?? throw new UsageException($"there is no head in {file.Name}.");
    }

    /// <summary>Null for anything but a JSON object with a number from 1 on and a hash of 64 hexadecimal digits.</summary>
    public static ShippedHead? Parse(string line)
    {
        try
        {
            using var json = JsonDocument.Parse(line);
            return json.RootElement is { ValueKind: JsonValueKind.Object } head
                && head.TryGetProperty("number", out var number) && number.ValueKind == JsonValueKind.Number && number.TryGetInt64(out var position) && position > 0
                && head.TryGetProperty("hash", out var hash) && hash.ValueKind == JsonValueKind.String && hash.GetString() is { Length: 2 * HashBytes } hex
                ? new(position, Convert.FromHexString(hex))
                : null;
        }
        catch (Exception e) when (e is JsonException or FormatException)
        {
            return null;
        }
    }
}
