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
    public static TimeStep? Match(ReadOnlySpan<byte> key, Algorithm algorithm, Otp otp, TimeStep first, TimeStep last) =>
        Match(key, algorithm, before: null, otp, first, last);

    /// <summary>
    /// The same for two OTPs that were shown one right after the other: the highest step that shows the second one, where the step before it shows
    /// the first one. Both have as many digits.
    /// </summary>
    public static TimeStep? MatchPair(ReadOnlySpan<byte> key, Algorithm algorithm, Otp firstOtp, Otp secondOtp, TimeStep first, TimeStep last) =>
        Match(key, algorithm, firstOtp, secondOtp, first, last);

    private static TimeStep? Match(ReadOnlySpan<byte> key, Algorithm algorithm, Otp? before, Otp otp, TimeStep first, TimeStep last)
    {
        var modulus = otp.Length == 8 ? 100_000_000u : 1_000_000u;
        var matched = TimeStep.None.Value;
        // All ones where the step before showed what it had to.
        var preceded = before is null ? -1L : 0L;
        Span<byte> hmacs = stackalloc byte[CounterHmacSha1.Counters * LargestHmac];
        for (var step = Math.Max(first.Value, 0); step <= last.Value; step += CounterHmacSha1.Counters)
        {
            var count = (int)Math.Min(last.Value - step + 1, CounterHmacSha1.Counters);
            var size = Compute(key, algorithm, step, count, hmacs);
            for (var i = 0; i < count; i++)
            {
                var shown = Truncate(hmacs.Slice(i * size, size)) % modulus;
                var equal = otp.EqualsMask(shown) & preceded;
                matched = ((step + i) & equal) | (matched & ~equal);
                preceded = before?.EqualsMask(shown) ?? -1L;
            }
        }

        return matched == TimeStep.None.Value ? null : new TimeStep(matched);
    }

    /// <summary>The HMACs over up to <see cref="CounterHmacSha1.Counters"/> steps as eight big-endian bytes each, one after the other.</summary>
    /// <returns>The size of each in bytes.</returns>
    private static int Compute(ReadOnlySpan<byte> key, Algorithm algorithm, long first, int count, Span<byte> hmacs)
    {
        if (algorithm == Algorithm.Sha1)
        {
            CounterHmacSha1.Compute(key, first, hmacs);
            return SHA1.HashSizeInBytes;
        }

        var size = algorithm switch
        {
            Algorithm.Sha256 => SHA256.HashSizeInBytes,
            Algorithm.Sha512 => SHA512.HashSizeInBytes,
            _ => throw new ArgumentOutOfRangeException(nameof(algorithm), algorithm, "Not an algorithm of a stored credential."),
        };
        Span<byte> counter = stackalloc byte[sizeof(long)];
        for (var i = 0; i < count; i++)
        {
            BinaryPrimitives.WriteInt64BigEndian(counter, first + i);
            var hmac = hmacs.Slice(i * size, size);
            _ = algorithm == Algorithm.Sha256 ? HMACSHA256.HashData(key, counter, hmac) : HMACSHA512.HashData(key, counter, hmac);
        }

        return size;
    }

    /// <summary>HOTP's dynamic truncation (RFC 4226 section 5.3).</summary>
    private static uint Truncate(ReadOnlySpan<byte> hmac)
    {
        var offset = hmac[^1] & 0x0F;
        return BinaryPrimitives.ReadUInt32BigEndian(hmac[offset..]) & 0x7FFF_FFFF;
    }
}
