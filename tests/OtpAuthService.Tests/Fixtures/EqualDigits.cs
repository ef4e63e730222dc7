using System.Security.Cryptography;
using OtpAuthService.Verification;
using OtpNet;

namespace OtpAuthService.Tests.Fixtures;

/// <summary>Two adjacent steps with the same six digits: one pair of steps in a million has it, so it is searched for.</summary>
internal static class EqualDigits
{
    /// <summary>A step whose digits are those of the next one too, for a fixed key.</summary>
    public static (byte[] Key, TimeStep Step, string Otp) Find()
    {
        var key = SHA256.HashData("adjacent steps with equal digits"u8)[..20];
        // Otp.NET's own computation, so that the matcher is not its own witness.
        var hotp = new Hotp(key);
        var previous = hotp.ComputeHOTP(0);
        for (long step = 1; ; step++)
        {
            var next = hotp.ComputeHOTP(step);
            if (next == previous)
            {
                return (key, new TimeStep(step - 1), next);
            }

            previous = next;
        }
    }
}
