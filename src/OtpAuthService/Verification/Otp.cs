using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;

namespace OtpAuthService.Verification;

/// <summary>The submitted digits: 6 or 8 ASCII digits. It cannot print itself, so that no log, error or debugger shows it (promise P7).</summary>
[DebuggerDisplay("(hidden)")]
internal readonly struct Otp
{
    private readonly ulong digits;

    private Otp(ulong digits, int length)
    {
        this.digits = digits;
        Length = length;
    }

    public int Length { get; }

    /// <summary>Takes ASCII digits only: neither full-width and Arabic-Indic digits nor spaces, signs, NUL or a trailing newline.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out Otp otp)
    {
        otp = default;
        if (text is not { Length: 6 or 8 })
        {
            return false;
        }

        ulong digits = 0;
        foreach (var c in text)
        {
            if (!char.IsAsciiDigit(c))
            {
                return false;
            }

            digits = (digits * 10) + (ulong)(c - '0');
        }

        otp = new Otp(digits, text.Length);
        return true;
    }

    /// <summary>All ones where the digits are those of <paramref name="value"/>, else zero; takes the same time either way.</summary>
    public long EqualsMask(uint value)
    {
        var difference = (long)digits ^ value;
        return ~((difference | -difference) >> 63);
    }

    public override string ToString() => "(hidden)";
}
