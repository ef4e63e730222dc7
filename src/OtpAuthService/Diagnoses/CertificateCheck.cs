using Microsoft.Extensions.Options;
using OtpAuthService.Callers;
using OtpAuthService.Hosting;

namespace OtpAuthService.Diagnoses;

/// <summary>The files of mutual TLS as they are in force: certificates and revocation lists end by themselves.</summary>
internal sealed class CertificateCheck(IServiceProvider services, IOptions<OtpAuthOptions> options, FileWatch files, TimeProvider time)
{
    public List<Finding> Look()
    {
        if (options.Value.Tls is null)
        {
            return [];
        }

        var (tls, now) = (services.GetRequiredService<CallerTls>(), time.GetUtcNow());
        return
        [
            .. files.States.Where(file => file.Broken).Select(file => Finding.Warning(
                "files",
                $"The files of '{file.Name}' cannot be used as they are now; what was read before stays in force, but a restart would fail.",
                "Put right what the log says of them.")),
            .. tls.ServerChain.Select(certificate => Expiry.Judge(
                "certificate.server",
                $"The server's certificate {certificate.GetNameInfo(System.Security.Cryptography.X509Certificates.X509NameType.SimpleName, forIssuer: false)}",
                certificate.NotBefore,
                certificate.NotAfter,
                now,
                "Put a new one at OtpAuth__Tls__CertificateFile and OtpAuth__Tls__KeyFile; it is read within a second.")).OrderByDescending(finding => finding.State).Take(1),
            .. tls.Trust.Roots.Select(root => Expiry.Judge(
                "certificate.trust",
                $"The root of callers' certificates {root.GetNameInfo(System.Security.Cryptography.X509Certificates.X509NameType.SimpleName, forIssuer: false)}",
                root.NotBefore,
                root.NotAfter,
                now,
                "Add its successor to OtpAuth__Tls__TrustFile while both are in use.")),
            JudgeRevocation(tls.Trust, now),
        ];
    }

    /// <summary>A list that is due for its next issue still refuses whom it names, but not whoever was revoked since.</summary>
    private static Finding JudgeRevocation(ClientTrust trust, DateTimeOffset now) => trust.RevocationIsDueAt switch
    {
        null => Finding.Ok("certificate.revocation", "There is no revocation list with a date: certificates are refused by fingerprint, or by the callers' file."),
        { } due when due <= now => Finding.Warning(
            "certificate.revocation",
            FormattableString.Invariant($"The revocation list was to be followed by a newer one at {due:u}: what was revoked since is not known here."),
            "Fetch the authority's list to OtpAuth__Tls__RevokedFile; it is read within a second."),
        { } due => Finding.Ok("certificate.revocation", FormattableString.Invariant($"The revocation list is the newest one until {due:u}.")),
    };
}
