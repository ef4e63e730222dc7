using System.Globalization;

namespace OtpAuthService.Credentials;

/// <summary>
/// A PSKC file that is refused, as a whole. The message is one sentence for the operator: it names the key package by ordinal and Id and
/// says what is wrong with it. It never holds key material, and no text of the file unless <see cref="Quote"/> made it safe to print.
/// </summary>
internal sealed class PskcException(string where, string what) : Exception($"{where} {what}.")
{
    /// <summary>The <c>where</c> of a fault that belongs to no key package.</summary>
    public const string WholeFile = "The file";

    /// <summary>The <c>where</c> of a fault in one key package; <paramref name="ordinal"/> counts from 1.</summary>
    public static string Package(int ordinal, string? id) =>
        id is null ? $"Key package {ordinal}" : $"Key package {ordinal} ({Quote(id)})";

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
