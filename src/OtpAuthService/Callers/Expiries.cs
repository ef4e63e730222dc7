using Microsoft.Extensions.Options;
using OtpAuthService.Hosting;
using OtpAuthService.Institutions;

namespace OtpAuthService.Callers;

/// <summary>How long what ends by itself is still good for: certificates, callers, bypass grants. Less than nothing once it has ended.</summary>
internal sealed class Expiries(CallerDirectory callers, IServiceProvider services, IOptions<OtpAuthOptions> options, TimeProvider time)
{
    /// <summary>Of what the service itself holds, the first to end: of the chain it shows, of the roots, and the next issue of the revocation list.</summary>
    public IEnumerable<(string Certificate, TimeSpan Left)> OfCertificates
    {
        get
        {
            if (options.Value.Tls is null)
            {
                yield break;
            }

            var tls = services.GetRequiredService<CallerTls>();
            yield return ("server", Left(tls.ServerChain.Min(certificate => certificate.NotAfter)));
            yield return ("trust", Left(tls.Trust.Roots.Min(root => root.NotAfter)));
            if (tls.Trust.RevocationIsDueAt is { } due)
            {
                yield return ("revocation", Left(due));
            }
        }
    }

    /// <summary>Of the certificate that each caller has shown to this replica last.</summary>
    public IEnumerable<(string Caller, TimeSpan Left)> OfShownCertificates => callers.Shown.Select(shown => (shown.Caller, Left(shown.NotAfter)));

    public IEnumerable<(string Caller, TimeSpan Left)> OfCallers =>
        callers.All.Where(caller => caller.NotAfter is not null).Select(caller => (caller.Id, Left(caller.NotAfter!.Value)));

    public IEnumerable<(string Caller, InstitutionId Institution, TimeSpan Left)> OfGrants =>
        from caller in callers.All
        from grant in caller.Bypasses
        select (caller.Id, grant.Key, Left(grant.Value.NotAfter));

    private TimeSpan Left(DateTimeOffset until) => until - time.GetUtcNow();
}
