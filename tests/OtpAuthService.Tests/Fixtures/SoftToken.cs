using OtpNet;

namespace OtpAuthService.Tests.Fixtures;

/// <summary>A token program as customers have it: shows the OTP of a time step. Computed by Otp.NET, not by the service's own code.</summary>
internal sealed class SoftToken
{
    private readonly Totp totp;

    public SoftToken(string credentialId, string otpauthUri)
    {
        CredentialId = credentialId;
        var query = System.Web.HttpUtility.ParseQueryString(new Uri(otpauthUri).Query);
        Key = Base32Encoding.ToBytes(query["secret"]);
        PeriodSeconds = int.Parse(query["period"]!);
        var mode = query["algorithm"] switch
        {
            "SHA1" => OtpHashMode.Sha1,
            "SHA256" => OtpHashMode.Sha256,
            "SHA512" => OtpHashMode.Sha512,
            var other => throw new FormatException($"algorithm {other}"),
        };
        totp = new Totp(Key, PeriodSeconds, mode, int.Parse(query["digits"]!));
    }

    public string CredentialId { get; }

    public byte[] Key { get; }

    public int PeriodSeconds { get; }

    /// <summary>The OTP shown at a moment, or some steps before or after it.</summary>
    public string At(DateTimeOffset moment, int steps = 0) => totp.ComputeTotp(moment.UtcDateTime.AddSeconds(steps * PeriodSeconds));

    /// <summary>Digits that no step within an hour of the moment shows: a wrong OTP, and not one of a clock that is off.</summary>
    public string WrongAt(DateTimeOffset moment)
    {
        var near = Enumerable.Range(-125, 251).Select(steps => At(moment, steps)).ToHashSet();
        return Enumerable.Range(0, 100).Select(n => n.ToString().PadLeft(At(moment).Length, '0')).First(otp => !near.Contains(otp));
    }
}
