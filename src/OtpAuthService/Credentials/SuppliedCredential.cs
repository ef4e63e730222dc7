using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json.Serialization;
using OtpAuthService.Verification;
using static OtpAuthService.Credentials.RefusedFileException;

namespace OtpAuthService.Credentials;

/// <summary>One TOTP credential of a supplier's file.</summary>
/// <param name="Line">Where it begins in the file, counts from 1.</param>
/// <param name="Id">As it is written there, without white space around it.</param>
/// <param name="Key">16 to 64 bytes, in the clear: wrap it, then zero it.</param>
/// <param name="Algorithm">Never unspecified.</param>
/// <param name="Digits">6 or 8.</param>
/// <param name="PeriodSeconds">30 or 60.</param>
internal sealed record SuppliedCredential(
    int Line, string Id, [property: JsonIgnore] byte[] Key, Algorithm Algorithm = Algorithm.Sha1, int Digits = 6, int PeriodSeconds = 30)
{
    // RFC 4226 R6 asks for at least 128 bits; above the block of SHA-1 and SHA-256, HMAC would only hash the key down.
    private const int MinKeyBytes = 16;
    private const int MaxKeyBytes = 64;

    /// <summary>Clock offset that its maker or last server knew, in time steps, positive where its clock is ahead; within <see cref="Drift.Max"/>.</summary>
    public int DriftSteps { get; init; }

    /// <summary>Null where the file does not say; not checked for length or characters.</summary>
    public string? Manufacturer { get; init; }

    /// <summary>Not to be used before, UTC; null where unlimited.</summary>
    public DateTimeOffset? ValidFrom { get; init; }

    /// <summary>Not to be used from then on, UTC; null where unlimited.</summary>
    public DateTimeOffset? ValidUntil { get; init; }

    public override string ToString() => $"SuppliedCredential {Quote(Id)} (key hidden)";

    /// <summary>Lets a key pass that is long enough and not too long; zeroes any other.</summary>
    public static byte[] RequireKeyLength(byte[] key, string where)
    {
        if (key.Length is >= MinKeyBytes and <= MaxKeyBytes)
        {
            return key;
        }

        CryptographicOperations.ZeroMemory(key);
        throw new RefusedFileException(where, $"has a key of {8 * key.Length} bits; {8 * MinKeyBytes} to {8 * MaxKeyBytes} are supported");
    }

    public static int ReadDigits(string text, string name, string where) => text switch
    {
        "6" => 6,
        "8" => 8,
        _ => throw new RefusedFileException(where, $"has OTPs of {name} {Quote(text)}; 6 and 8 are supported"),
    };

    public static int ReadPeriod(string text, string name, string where) => text switch
    {
        "30" => 30,
        "60" => 60,
        _ => throw new RefusedFileException(where, $"has a {name} of {Quote(text)}; 30 and 60 seconds are supported"),
    };

    /// <summary>xs:dateTime with its time zone: without one, a date in Japan would be nine hours off.</summary>
    public static DateTimeOffset ReadMoment(string text, string name, string where)
    {
        string[] formats = ["yyyy-MM-dd'T'HH:mm:ss.FFFFFFF'Z'", "yyyy-MM-dd'T'HH:mm:ss.FFFFFFFzzz"];
        return DateTimeOffset.TryParseExact(text, formats, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var date)
            ? date.ToUniversalTime()
            : throw new RefusedFileException(where, $"has a {name} that is not a date and time with a time zone (2030-12-31T00:00:00Z)");
    }
}

/// <summary>What a reader makes of one entry of a file: a credential, or why the file is refused. After a refusal it reads on, for others.</summary>
internal readonly record struct SuppliedEntry(SuppliedCredential? Credential, RefusedFileException? Refusal);
