using System.Text;
using System.Text.Json;

namespace OtpCtl.Commands.Caller;

/// <summary>Changes the callers' file as text: people write it, with comments and a layout of their own, and everything else stays as they wrote it.</summary>
internal static class CallersText
{
    private const string DefaultIndent = "    ";

    private static readonly JsonReaderOptions Form = new() { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true };

    /// <param name="file">Well-formed.</param>
    /// <param name="entry">A row, as JSON on one line.</param>
    public static byte[] Add(byte[] file, string entry)
    {
        var rows = Find(file);
        var lineEnd = file.AsSpan().IndexOf("\r\n"u8) >= 0 ? "\r\n" : "\n";
        return rows.Entries is [.., var last]
            ? Splice(file, last.End, last.End, $",{lineEnd}{IndentOf(file, last.Start)}{entry}")
            : Splice(file, rows.Begin, rows.End, $"{lineEnd}{DefaultIndent}{entry}{lineEnd}{DefaultIndent[..2]}");
    }

    /// <param name="file">Well-formed.</param>
    /// <param name="id">Of a row that is there.</param>
    public static byte[] Remove(byte[] file, string id)
    {
        var rows = Find(file).Entries;
        var index = rows.FindIndex(row => row.Id == id);
        var (start, end) = (LineStart(file, rows[index].Start), rows[index].End);
        if (FindComma(file, end, index + 1 < rows.Count ? rows[index + 1].Start : file.Length) is { } following)
        {
            end = following + 1;
        }
        else if (index > 0 && FindComma(file, rows[index - 1].End, rows[index].Start) is { } preceding)
        {
            // The last one takes the comma before it along; what stands between, comments of its own, stays.
            file = Splice(file, preceding, preceding + 1, "");
            (start, end) = (start - (preceding < start ? 1 : 0), end - 1);
        }

        return Splice(file, start, LineEnd(file, end), "");
    }

    private static (List<(int Start, int End, string Id)> Entries, int Begin, int End) Find(byte[] file)
    {
        var reader = new Utf8JsonReader(file, Form);
        while (reader.Read() && !(reader is { TokenType: JsonTokenType.PropertyName, CurrentDepth: 1 } && Is(reader.GetString(), "callers")))
        {
            // On to the rows.
        }

        reader.Read();
        var begin = (int)reader.TokenStartIndex + 1;
        var entries = new List<(int Start, int End, string Id)>();
        while (reader.Read() && reader.TokenType == JsonTokenType.StartObject)
        {
            var start = (int)reader.TokenStartIndex;
            var row = JsonElement.ParseValue(ref reader);
            entries.Add((start, (int)reader.TokenStartIndex + 1, row.EnumerateObject().First(member => Is(member.Name, "id")).Value.GetString()!));
        }

        return (entries, begin, (int)reader.TokenStartIndex);
    }

    // As the service reads it.
    private static bool Is(string? name, string expected) => string.Equals(name, expected, StringComparison.OrdinalIgnoreCase);

    /// <summary>The comma between two rows, or the one that trails the last; not one in a comment.</summary>
    private static int? FindComma(byte[] file, int from, int to)
    {
        for (var i = from; i < to; i++)
        {
            switch ((char)file[i])
            {
                case ',':
                    return i;
                case '/' when file[i + 1] == '/':
                    i += file.AsSpan(i..).IndexOf((byte)'\n');
                    break;
                case '/':
                    i += file.AsSpan(i..).IndexOf("*/"u8) + 1;
                    break;
                case ']':
                    return null;
            }
        }

        return null;
    }

    /// <summary>Where the line of a row begins, if it has the line to itself up to there.</summary>
    private static int LineStart(byte[] file, int row)
    {
        var start = row - IndentOf(file, row).Length;
        return start == 0 || file[start - 1] == '\n' ? start : row;
    }

    /// <summary>Behind the rest of the line, if it is empty.</summary>
    private static int LineEnd(byte[] file, int from)
    {
        var rest = file.AsSpan(from..);
        var blank = rest.Length - rest.TrimStart(" \t\r"u8).Length;
        return from + blank < file.Length && file[from + blank] == '\n' ? from + blank + 1 : from;
    }

    private static string IndentOf(byte[] file, int row)
    {
        var before = file.AsSpan(..row);
        return Encoding.UTF8.GetString(before[before.TrimEnd(" \t"u8).Length..]);
    }

    private static byte[] Splice(byte[] file, int from, int to, string text) => [.. file.AsSpan(..from), .. Encoding.UTF8.GetBytes(text), .. file.AsSpan(to..)];
}
