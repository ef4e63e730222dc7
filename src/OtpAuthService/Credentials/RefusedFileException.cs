using System.Globalization;

namespace OtpAuthService.Credentials;

/// <summary>
/// A file that is refused, as a whole. The message is one sentence for the operator: it names the place by line, ordinal and id and says what is wrong
/// with it. It never holds key material, and no text of the file unless <see cref="Quote"/> made it safe to print.
/// </summary>
internal sealed class RefusedFileException(string where, string what) : Exception($"{where} {what}.")
{
    /// <summary>The <c>where</c> of a fault that belongs to no credential.</summary>
    public const string WholeFile = "The file";

    /// <summary>The <c>where</c> of a fault in one credential of an XML file.</summary>
    /// <param name="kind">What the format calls it.</param>
    /// <param name="ordinal">Counts from 1.</param>
    /// <param name="line">Where it begins, counts from 1.</param>
    /// <param name="id">As the file spells it; null where it is not known.</param>
    public static string Element(string kind, int ordinal, int line, string? id) =>
        id is null ? $"{kind} {ordinal} at line {line}" : $"{kind} {ordinal} ({Quote(id)}) at line {line}";

    /// <summary>
    /// Text of the file, fit for a terminal or a log: one line of at most 80 characters, without control and invisible characters.
    /// </summary>
    public static string Quote(string text)
    {
        const int longest = 80;
        var shown = text.Length <= longest ? text : text[..longest] + "…";
        return $"'{string.Concat(shown.Select(c => IsPrintable(c) ? c : '?'))}'";
    }

    private static bool IsPrintable(char c) => char.GetUnicodeCategory(c) is not (UnicodeCategory.Control or UnicodeCategory.Format
        or UnicodeCategory.Surrogate or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator);
}
