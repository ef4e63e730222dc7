using OtpAuthService.Institutions;
using OtpAuthService.Storage;
using OtpAuthService.Telemetry;

namespace OtpAuthService.Diagnoses;

/// <summary>Looks at everything the service stands on from where it runs, and says what to do. Works while nothing else does.</summary>
internal sealed class Diagnosis(
    DatabaseCheck database,
    RedisCheck redis,
    KekCheck kek,
    CertificateCheck certificates,
    CallerCheck callers,
    AuditCheck audit,
    StoreSet stores,
    ILogger<Diagnosis> log)
{
    /// <summary>Of each check; they run side by side, and the caller waits 10 s at most.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(4);

    /// <returns>All that was looked at, the faults first.</returns>
    public async Task<IReadOnlyList<Finding>> LookAsync(InstitutionId institution, CancellationToken cancellation)
    {
        var looked = await Task.WhenAll(
            BoundAsync("database", database.LookAsync, cancellation),
            BoundAsync("redis", redis.LookAsync, cancellation),
            BoundAsync("kek", kek.LookAsync, cancellation),
            BoundAsync("certificate", _ => Task.FromResult(certificates.Look()), cancellation),
            BoundAsync("callers", _ => Task.FromResult(callers.Look(institution)), cancellation),
            BoundAsync("audit", _ => Task.FromResult(audit.Look()), cancellation),
            BoundAsync("embedded", _ => Task.FromResult(LookAtDefault()), cancellation));
        return [.. looked.SelectMany(findings => findings).OrderByDescending(finding => finding.State)];
    }

    private List<Finding> LookAtDefault() => stores.IsPostgres
        ? []
        :
        [
            Finding.Warning(
                "embedded",
                "The embedded default is in use: one SQLite file, one replica, a KEK beside it, and whoever connects over loopback is a caller. It is for trying out.",
                "For production set ConnectionStrings__Postgres, OtpAuth__Tls__… and a place for the KEK."),
        ];

    /// <summary>A check that hangs or fails is a finding too.</summary>
    private async Task<List<Finding>> BoundAsync(string subject, Func<CancellationToken, Task<List<Finding>>> look, CancellationToken cancellation)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        deadline.CancelAfter(Patience);
        try
        {
            // SQLite and hardware modules work synchronously.
            return await Task.Run(() => look(deadline.Token), deadline.Token).WaitAsync(Patience, cancellation);
        }
        catch (Exception late) when (late is TimeoutException or OperationCanceledException && !cancellation.IsCancellationRequested)
        {
            return [Finding.Fault(subject, $"It gave no answer within {Patience.TotalSeconds} s.", "See whether it hangs, and the network in between.")];
        }
        catch (Exception failure) when (failure is not OperationCanceledException)
        {
            log.CheckFailed(failure, subject);
            return [Finding.Fault(subject, "It could not be looked at; the service's log says why.", "See the log.")];
        }
    }
}
