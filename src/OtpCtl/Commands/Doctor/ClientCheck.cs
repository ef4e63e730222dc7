using System.CommandLine;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Grpc.Core;
using OtpAuthService.Diagnoses;
using OtpAuthService.Services;
using OtpAuthService.V1;
using Diagnosis = OtpAuthService.V1.Diagnosis;

namespace OtpCtl.Commands.Doctor;

/// <summary>What only a client sees: the way to the service, its own certificate and clock.</summary>
internal static class ClientCheck
{
    /// <summary>Beyond it, moments that an operator names are not those that they mean, and certificates are judged wrongly.</summary>
    private static readonly TimeSpan MaxOffset = TimeSpan.FromSeconds(30);

    /// <summary>Nothing without a certificate of its own.</summary>
    /// <exception cref="UsageException">The file holds none.</exception>
    public static IEnumerable<Diagnosis> OfCertificate(ParseResult parsed)
    {
        if (parsed.GetValue(GlobalOptions.Certificate) is { } path)
        {
            using var own = Read(path);
            yield return Expiry.Judge(
                "client.certificate",
                $"The certificate in {path}",
                own.NotBefore,
                own.NotAfter,
                TimeProvider.System.GetUtcNow(),
                "Have a new one made for the same name, and give it as --certificate and --key.").ToWire();
        }
    }

    public static Diagnosis OfAddress(ParseResult parsed) =>
        Finding.Ok("client.address", $"The service at {parsed.GetRequiredValue(GlobalOptions.Address)} answers.").ToWire();

    public static Diagnosis OfAddress(ParseResult parsed, RpcException failure, bool hasConnected) => Finding.Fault(
        "client.address",
        $"The service at {parsed.GetRequiredValue(GlobalOptions.Address)} does not answer: {AnswerText.Text(failure.StatusCode)}, {failure.Explain().TrimEnd('.')}.",
        hasConnected
            ? "A connection was made: see whether the service takes --certificate, and its log."
            : "No connection was made: see whether the service runs, whether --address names it, and whether --trust holds the root of its certificate.").ToWire();

    /// <param name="sent">Of the request, by the clock of this machine.</param>
    /// <param name="answered">Of the answer, likewise.</param>
    /// <param name="theirs">In between, by the service's clock.</param>
    public static Diagnosis OfClock(DateTimeOffset sent, DateTimeOffset answered, DateTimeOffset theirs)
    {
        var offset = theirs < sent ? sent - theirs : theirs > answered ? answered - theirs : TimeSpan.Zero;
        var detail = FormattableString.Invariant(
            $"This machine's clock is at least {Math.Abs(offset.TotalSeconds):0.###} s {(offset < TimeSpan.Zero ? "behind" : "ahead of")} the service's.");
        return (offset == TimeSpan.Zero ? Finding.Ok("client.clock", "This machine's clock agrees with the service's.")
            : offset.Duration() <= MaxOffset ? Finding.Ok("client.clock", detail)
            : Finding.Warning("client.clock", detail, "Have NTP set this machine's clock.")).ToWire();
    }

    private static X509Certificate2 Read(string path)
    {
        try
        {
            return X509Certificate2.CreateFromPem(File.ReadAllText(path));
        }
        catch (CryptographicException e)
        {
            throw new UsageException($"'{path}' holds no certificate in PEM form: {e.Message}");
        }
    }
}
