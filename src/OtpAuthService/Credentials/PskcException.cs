namespace OtpAuthService.Credentials;

/// <summary>
/// A PSKC file that is refused, as a whole. The message is one sentence for the operator: it names the key package by ordinal and Id and
/// says what is wrong with it. It never holds key material, and no text of the file unless <see cref="Quote"/> made it safe to print.
/// </summary>
internal sealed class PskcException(string where, string what) : Exception($"{where} {what}.")
{
    /// <summary>The <c>where</c> of a fault that belongs to no key package.</summary>
    public const string File = "The file";

    /// <summary>The <c>where</c> of a fault in one key package; <paramref name="ordinal"/> counts from 1.</summary>
    public static string Package(int ordinal, string? id) => id is null ? $"Key package {ordinal}" : $"Key package {ordinal} ({Quote(id)})";

    // The file comes from outside and the sentence goes to terminals and logs: one line, no control or invisible characters, no essay.
    public static string Quote(string text)
    {
        const int longest = 80;
        var shown = text.Length <= longest ? text : text[..longest] + "…";
        return "'" + string.Create(shown.Length, shown, (target, source) =>
        {
            for (var i = 0; i < target.Length; i++)
            {
                target[i] = IsPrintable(source[i]) ? source[i] : '?';
            }
        }) + "'";
    }

    private static bool IsPrintable(char c) => char.GetUnicodeCategory(c) is not (
        System.Globalization.UnicodeCategory.Control or
        System.Globalization.UnicodeCategory.Format or
        System.Globalization.UnicodeCategory.Surrogate or
        System.Globalization.UnicodeCategory.LineSeparator or
        System.Globalization.UnicodeCategory.ParagraphSeparator);
}
