using System.Buffers.Binary;
using System.Security.Cryptography;

namespace OtpAuthService.Verification;

/// <summary>Finds the time step an OTP belongs to (RFC 6238 section 4, RFC 4226 section 5.3).</summary>
internal static class TotpMatcher
{
    private const int LargestHmac = HMACSHA512.HashSizeInBytes;

    /// <summary>
    /// The highest step from <paramref name="first"/> to <paramref name="last"/> whose OTP was submitted, or null. Every step is
    /// computed and compared without a branch on the result, so that the time taken does not tell which step matched or whether any
    /// did. The highest one wins where several steps share the same digits: claiming a lower one would leave the digits usable.
    /// </summary>
    public static TimeStep? Match(ReadOnlySpan<byte> key, Algorithm algorithm, Otp otp, TimeStep first, TimeStep last)
    {
        var modulus = otp.Length == 8 ? 100_000_000u : 1_000_000u;
        var matched = TimeStep.None.Value;
        for (var step = Math.Max(first.Value, 0); step <= last.Value; step++)
        {
            var equal = otp.EqualsMask(Truncate(key, algorithm, step) % modulus);
            matched = (step & equal) | (matched & ~equal);
        }

        return matched == TimeStep.None.Value ? null : new TimeStep(matched);
    }

    /// <summary>HOTP's dynamic truncation (RFC 4226 section 5.3) of the HMAC over the step as eight big-endian bytes.</summary>
    private static uint Truncate(ReadOnlySpan<byte> key, Algorithm algorithm, long step)
    {
        Span<byte> counter = stackalloc byte[sizeof(long)];
        Span<byte> hmac = stackalloc byte[LargestHmac];
        BinaryPrimitives.WriteInt64BigEndian(counter, step);
        var length = algorithm switch
        {
#pragma warning disable CA5350 // RFC 6238's default and what the tokens in the field compute; HMAC does not need collision resistance.
            Algorithm.Sha1 => HMACSHA1.HashData(key, counter, hmac),
#pragma warning restore CA5350
            Algorithm.Sha256 => HMACSHA256.HashData(key, counter, hmac),
            Algorithm.Sha512 => HMACSHA512.HashData(key, counter, hmac),
            _ => throw new ArgumentOutOfRangeException(nameof(algorithm), algorithm, "Not an algorithm of a stored credential."),
        };
        var offset = hmac[length - 1] & 0x0F;
        return BinaryPrimitives.ReadUInt32BigEndian(hmac[offset..]) & 0x7FFF_FFFF;
    }
}
