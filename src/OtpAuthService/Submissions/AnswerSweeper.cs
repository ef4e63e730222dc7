using Microsoft.EntityFrameworkCore;
using OtpAuthService.Storage;
using OtpAuthService.Telemetry;

namespace OtpAuthService.Submissions;

/// <summary>Removes stored answers that no retry may ask for any more.</summary>
internal sealed class AnswerSweeper(OtpStore store, TimeProvider time, ILogger<AnswerSweeper> log) : BackgroundService
{
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(30);

    /// <summary>Longer than the lifetime by more than replicas' clocks may differ, so that no replica deletes what another still repeats.</summary>
    private static readonly TimeSpan KeptFor = StoredAnswer.Lifetime + TimeSpan.FromSeconds(60);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Pause, time);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            try
            {
                var before = time.GetUtcNow() - KeptFor;
                await store.WriteAsync(
                    (db, stop) => db.Answers.Where(a => a.DecidedAt < before).ExecuteDeleteAsync(stop), stoppingToken);
            }
            catch (StoreUnavailableException unavailable)
            {
                log.SweepPostponed(unavailable.Message);
            }
        }
    }
}
