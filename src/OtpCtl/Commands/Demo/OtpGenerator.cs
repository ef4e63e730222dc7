using System.Globalization;
using System.Web;
using OtpNet;

namespace OtpCtl.Commands.Demo;

/// <summary>Plays the program on the customer's phone that shows OTPs (VIP Access or any other).</summary>
internal sealed class OtpGenerator
{
    private readonly Totp totp;
    private readonly int digits;

    /// <param name="otpauthUri">As handed out once by IssueCredential.</param>
    public OtpGenerator(string otpauthUri)
    {
        var query = HttpUtility.ParseQueryString(new Uri(otpauthUri).Query);
        digits = int.Parse(query["digits"] ?? "6", CultureInfo.InvariantCulture);
        PeriodSeconds = int.Parse(query["period"] ?? "30", CultureInfo.InvariantCulture);
        totp = new Totp(Base32Encoding.ToBytes(query["secret"]), PeriodSeconds, ReadMode(query["algorithm"] ?? "SHA1"), digits);
    }

    /// <summary>Seconds a time step lasts.</summary>
    public int PeriodSeconds { get; }

    /// <summary>The OTP of a time step (RFC 6238's T).</summary>
    public string OtpAt(long timeStep) => totp.ComputeTotp(DateTime.UnixEpoch.AddSeconds(timeStep * PeriodSeconds));

    /// <summary>
    /// Well-formed digits that belong to no time step within an hour around the given one, so that the service has nothing to match them
    /// with: neither in its acceptance window nor in the wide one that recognises a clock that is off.
    /// </summary>
    public string WrongOtp(long timeStep)
    {
        var steps = 3600 / PeriodSeconds;
        var rightOnes = Enumerable.Range(-steps, 2 * steps + 1).Select(offset => OtpAt(timeStep + offset)).ToHashSet();
        return Enumerable.Range(0, rightOnes.Count + 1)
            .Select(number => number.ToString(CultureInfo.InvariantCulture).PadLeft(digits, '0'))
            .First(otp => !rightOnes.Contains(otp));
    }

    private static OtpHashMode ReadMode(string algorithm) => algorithm switch
    {
        "SHA1" => OtpHashMode.Sha1,
        "SHA256" => OtpHashMode.Sha256,
        "SHA512" => OtpHashMode.Sha512,
        _ => throw new ArgumentOutOfRangeException(nameof(algorithm), algorithm, "Not an algorithm of otpauth URIs."),
    };
}
