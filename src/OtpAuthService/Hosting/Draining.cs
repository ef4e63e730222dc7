using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Options;
using OtpAuthService.Telemetry;

namespace OtpAuthService.Hosting;

/// <summary>
/// How a replica is taken out without a failed call: it says first that it is not ready, goes on deciding until whoever sends calls has heard of it, and
/// only then do its endpoints close, which ends what has begun. The order is the host's: this before any endpoint, and these before what they need.
/// </summary>
internal sealed class Draining(IOptions<OtpAuthOptions> options, ILogger<Draining> log) : IHostedLifecycleService
{
    /// <summary>What has begun ends within its deadline; streams are told to end at once. Beyond it the host closes all the same.</summary>
    public static readonly TimeSpan LongestEnd = TimeSpan.FromSeconds(15);

    private volatile bool begun;

    public bool HasBegun => begun;

    public Task StoppingAsync(CancellationToken cancellationToken)
    {
        begun = true;
        var delay = options.Value.DrainDelay;
        log.Draining(delay.TotalSeconds);
        // Real time, not TimeProvider: others have to hear of it.
        return delay > TimeSpan.Zero ? Task.Delay(delay, TimeProvider.System, cancellationToken) : Task.CompletedTask;
    }

    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}

/// <summary>Ready until it stops.</summary>
internal sealed class DrainingHealthCheck(Draining draining) : IHealthCheck
{
    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) =>
        Task.FromResult(draining.HasBegun ? HealthCheckResult.Unhealthy("the service stops") : HealthCheckResult.Healthy());
}
