using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Options;
using Npgsql;
using OtpAuthService.Hosting;
using OtpAuthService.Telemetry;

namespace OtpAuthService.Storage;

/// <summary>
/// Asks the database for its clock all the time: finds an outage within a second, so that no call waits longer for a database that
/// hangs (promise P3), and finds its end without a restart. A clock that differs from the database's decides on wrong time steps, so it counts as an outage (promise P3).
/// So does a database that may have lost commits, until it is fenced (<see cref="LostCommits"/>).
/// </summary>
internal sealed class StoreMonitor(
    StoreSet stores, StoreAvailability availability, LostCommits lostCommits, IOptions<OtpAuthOptions> options, TimeProvider time, ILogger<StoreMonitor> log)
    : BackgroundService
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(150);

    /// <summary>With the pause, what a call waits at most for a database that hangs: 850 ms.</summary>
    private static readonly TimeSpan ProbeDeadline = TimeSpan.FromMilliseconds(700);

    /// <summary>This machine's clock less the database's, as the last probe that was answered showed it; zero on SQLite, which has no clock of its own.</summary>
    public TimeSpan ClockOffset { get; private set; }

    /// <summary>One probe; also the last step of the start.</summary>
    public async Task ProbeAsync(CancellationToken cancellation)
    {
        if (await FindProblemAsync(cancellation) is var (problem, detail))
        {
            if (availability.ReportProblem(problem))
            {
                log.StoreProblem(problem, detail);
            }
        }
        else if (availability.ReportWell())
        {
            log.StoreWell(stores.Name);
        }
    }

    // Real time, not TimeProvider: it paces probes and decides nothing, and a test that moves the clock must not stop them.
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Pause);
        // The service stops by disposing of the timer, which ends the loop: a cancelled wait would count as a failure where the start fails.
        using var stop = stoppingToken.Register(timer.Dispose);
        do
        {
            await ProbeAsync(CancellationToken.None);
        }
        while (await timer.WaitForNextTickAsync(CancellationToken.None));
    }

    /// <returns>Null where all is well; else a sentence for callers, and what only the log is told.</returns>
    private async Task<(string Problem, string Detail)?> FindProblemAsync(CancellationToken cancellation)
    {
        try
        {
            using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            deadline.CancelAfter(ProbeDeadline);
            var (clock, writable, position) = await stores.ProbeAsync(deadline.Token).WaitAsync(ProbeDeadline, cancellation);
            if (!writable)
            {
                return ("the database takes no writes", "It is a standby or read-only: connect to the primary.");
            }

            ClockOffset = clock is { } theirs ? time.GetUtcNow() - theirs : TimeSpan.Zero;
            var offset = ClockOffset.Duration();
            if (offset > options.Value.MaxClockOffset && !options.Value.TrustAnyClock)
            {
                return ("the clock cannot be trusted", $"It differs from the database's by {offset.TotalSeconds:F0} s: set both by NTP.");
            }

            // Last: a fence is raised by a clock that can be trusted. Longer than a probe, but nothing is decided meanwhile.
            return await lostCommits.FenceAsync(position, cancellation)
                ? null
                : ("the database was started anew", "Every replica looks first whether commits were lost.");
        }
        catch (PostgresException lacking) when (lacking.SqlState is PostgresErrorCodes.UndefinedTable or PostgresErrorCodes.UndefinedFunction or PostgresErrorCodes.UndefinedColumn)
        {
            return ("the database has not the tables of this version", $"It was taken back to before an update: start once with OtpAuth__MigrateOnStart=true. {lacking.MessageText}");
        }
        catch (Exception failure) when (StoreErrors.IsOutage(failure) && !cancellation.IsCancellationRequested)
        {
            if (StoreErrors.IsTimeout(failure) && availability.HasProgressedWithin(ProbeDeadline))
            {
                // Busy, not gone: the probe came too late, decisions did not.
                return null;
            }

            return ("the database cannot be reached", StoreErrors.ReasonOf(failure));
        }
    }
}

/// <summary>Ready while the database can decide.</summary>
internal sealed class StoreHealthCheck(StoreAvailability availability) : IHealthCheck
{
    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) =>
        Task.FromResult(availability.Problem is { } problem ? HealthCheckResult.Unhealthy(problem) : HealthCheckResult.Healthy());
}
