using System.Security.Cryptography;
using OtpAuthService.Verification;
using OtpNet;

namespace OtpAuthService.Tests.Fixtures;

/// <summary>Two adjacent steps with the same six digits: one pair of steps in a million has it, so it is searched for.</summary>
internal static class EqualDigits
{
    private static readonly Lazy<(byte[] Key, TimeStep Step, string Otp)> LazyNearNow = new(FindNearNow);

    /// <summary>
    /// A key whose step within half a day has the digits of the next one: for stores that do not take a clock much further from their own.
    /// A key has some thousand steps there, so it takes some thousand keys at most, and a second or a few.
    /// </summary>
    public static (byte[] Key, TimeStep Step, string Otp) NearNow => LazyNearNow.Value;

    /// <summary>A step whose digits are those of the next one too, for a fixed key.</summary>
    public static (byte[] Key, TimeStep Step, string Otp) Find()
    {
        var key = SHA256.HashData("adjacent steps with equal digits"u8)[..20];
        return Find(key, new TimeStep(0), new TimeStep(long.MaxValue)) ?? throw new InvalidOperationException("No such steps.");
    }

    private static (byte[] Key, TimeStep Step, string Otp) FindNearNow()
    {
        var now = TimeStep.At(TimeProvider.System.GetUtcNow(), 30);
        const int HalfADay = 12 * 60 * 2;
        while (true)
        {
            if (Find(RandomNumberGenerator.GetBytes(20), now.Plus(-HalfADay), now.Plus(HalfADay)) is { } found)
            {
                return found;
            }
        }
    }

    private static (byte[] Key, TimeStep Step, string Otp)? Find(byte[] key, TimeStep first, TimeStep last)
    {
        // Otp.NET's own computation, so that the matcher is not its own witness.
        var hotp = new Hotp(key);
        var previous = hotp.ComputeHOTP(first.Value);
        for (var step = first; step < last; step = step.Plus(1))
        {
            var next = hotp.ComputeHOTP(step.Plus(1).Value);
            if (next == previous)
            {
                return (key, step, next);
            }

            previous = next;
        }

        return null;
    }
}
