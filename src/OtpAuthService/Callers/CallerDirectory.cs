using System.Collections.Concurrent;
using System.Collections.Frozen;
using System.Net;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.Extensions.Options;
using OtpAuthService.Hosting;
using OtpAuthService.Institutions;

namespace OtpAuthService.Callers;

/// <summary>
/// Identifies the process behind a call: by the client certificate of its connection, and by nothing else. In the embedded default and for
/// tests whoever connects over loopback without TLS is the local caller.
/// </summary>
internal sealed class CallerDirectory
{
    private readonly CallerTls? tls;
    private readonly Watched<CallerRegistry>? registry;
    private readonly Caller? local;
    private readonly TimeProvider time;
    private readonly ConcurrentDictionary<string, DateTimeOffset> shown = new();

    /// <param name="options">Where the callers are.</param>
    /// <param name="services">Gives the TLS settings where there are any.</param>
    /// <param name="files">Follows the callers' file.</param>
    /// <param name="time">Ends callers and certificates.</param>
    /// <exception cref="StartRefusedException">The callers' file cannot be used.</exception>
    public CallerDirectory(IOptions<OtpAuthOptions> options, IServiceProvider services, FileWatch files, TimeProvider time)
    {
        this.time = time;
        local = options.Value.LocalCaller is { Enabled: true } settings ? LocalCaller(settings, time) : null;
        if (options.Value.Tls is not null)
        {
            tls = services.GetRequiredService<CallerTls>();
            registry = files.Watch("callers", [options.Value.CallersFile!], read => CallerRegistry.Read(read[0]));
        }
    }

    /// <summary>Everybody who may call now.</summary>
    public IEnumerable<Caller> All => [.. registry?.Current.All ?? [], .. local is null ? [] : new[] { local }];

    /// <summary>When the certificate ends that each of them has shown last, to this replica.</summary>
    public IEnumerable<(string Caller, DateTimeOffset NotAfter)> Shown =>
        from caller in All
        where shown.ContainsKey(caller.Id)
        select (caller.Id, shown[caller.Id]);

    /// <returns>The caller, or null where the connection does not identify one.</returns>
    public Caller? Identify(HttpContext call)
    {
        var connection = call.Features.Get<IConnectionItemsFeature>();
        if (connection?.Items.TryGetValue(typeof(PeerCertificate), out var peer) == true)
        {
            return Identify((PeerCertificate)peer!);
        }

        return !call.Request.IsHttps && call.Connection.RemoteIpAddress is { } address && IPAddress.IsLoopback(address) ? local : null;
    }

    /// <summary>
    /// A connection lives for hours, so what it was opened with is held against the files as they are now: a revoked certificate and a caller
    /// that was taken out are nobody at their next call.
    /// </summary>
    private Caller? Identify(PeerCertificate peer)
    {
        var (trust, callers, now) = (tls!.Trust, registry!.Current, time.GetUtcNow());
        if (peer.Assessment is not { } assessment || assessment.Trust != trust || assessment.Registry != callers)
        {
            var name = trust.Trusts(peer.Certificate, peer.Sent, now) ? CertificateNames.NameOf(peer.Certificate) : null;
            assessment = new Assessment(trust, callers, name is null ? null : callers.Find(name));
            peer.Assessment = assessment;
            if (assessment.Caller is { } caller)
            {
                shown[caller.Id] = peer.NotAfter;
            }
        }

        return now < peer.NotAfter && !(assessment.Caller?.NotAfter <= now) ? assessment.Caller : null;
    }

    private static Caller LocalCaller(LocalCallerOptions settings, TimeProvider time)
    {
        var institutions = settings.Institutions.Select(InstitutionId.Parse).ToFrozenSet();
        var now = time.GetUtcNow();
        var grant = new BypassGrant("trying out", "nobody", now, now + BypassGrant.Longest, PerMinute: 100_000, PerContractorPerHour: 1_000);
        return new Caller("local", settings.Roles, institutions)
        {
            // It is for trying out and for tests, which send wrong OTPs by the thousand. A front end has the budget of its row in the callers' file.
            FailureBudget = new FailureBudget(Signal: 1_000_000, Stop: 1_000_000),
            Bypasses = settings.Bypass ? institutions.ToFrozenDictionary(id => id, _ => grant) : FrozenDictionary<InstitutionId, BypassGrant>.Empty,
        };
    }
}
