using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;

namespace OtpAuthService.Credentials;

/// <summary>
/// トークンID as printed by a token program. Compared upper-case with spaces and hyphens dropped, as customers type it; then 4 to 40 of
/// <c>[A-Z0-9]</c>. Issued ones have the VIP form, four letters and eight digits.
/// </summary>
internal readonly record struct CredentialId
{
    private const int MinLength = 4;
    private const int MaxLength = 40;

    /// <summary>Longest spelling that is looked at: every character followed by a hyphen or space.</summary>
    private const int MaxSpelling = 2 * MaxLength;

    private CredentialId(string value) => Value = value;

    public string Value { get; }

    public static bool TryParse([NotNullWhen(true)] string? text, out CredentialId id)
    {
        id = default;
        if (text is null or { Length: > MaxSpelling })
        {
            return false;
        }

        Span<char> kept = stackalloc char[MaxSpelling];
        var length = 0;
        foreach (var c in text)
        {
            if (c is ' ' or '-')
            {
                continue;
            }

            if (!char.IsAsciiLetterOrDigit(c))
            {
                return false;
            }

            kept[length++] = char.ToUpperInvariant(c);
        }

        if (length is < MinLength or > MaxLength)
        {
            return false;
        }

        id = new CredentialId(new string(kept[..length]));
        return true;
    }

    /// <summary>For what was checked before: values from the database.</summary>
    public static CredentialId Parse(string text) =>
        TryParse(text, out var id) ? id : throw new FormatException("Not a credential id: 4 to 40 letters and digits.");

    /// <summary>A fresh id in the VIP form. 26⁴·10⁸ of them: a collision is refused by the unique index and drawn again.</summary>
    public static CredentialId Random() =>
        new(RandomNumberGenerator.GetString("ABCDEFGHIJKLMNOPQRSTUVWXYZ", 4) + RandomNumberGenerator.GetString("0123456789", 8));

    public override string ToString() => Value;
}
