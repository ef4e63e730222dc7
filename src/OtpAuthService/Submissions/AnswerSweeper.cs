using Microsoft.EntityFrameworkCore;
using OtpAuthService.Storage;
using OtpAuthService.Telemetry;

namespace OtpAuthService.Submissions;

/// <summary>Removes stored answers that no retry may ask for any more.</summary>
internal sealed class AnswerSweeper(OtpStore store, TimeProvider time, ILogger<AnswerSweeper> log) : BackgroundService
{
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(30);

    /// <summary>What one statement deletes at most, so that it holds nobody up also after a long pause.</summary>
    private const int Slice = 5_000;

    /// <summary>The table holds some minutes of answers and is read through for it: there is no index by time.</summary>
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(10);

    /// <summary>Longer than the lifetime by twice what a replica's clock may be off at most, so that no replica deletes what another still repeats.</summary>
    private static readonly TimeSpan KeptFor = StoredAnswer.Lifetime + TimeSpan.FromSeconds(60);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Pause, time);
        // The service stops by disposing of the timer, which ends the loop: a cancelled wait would count as a failure where the start fails.
        using var stop = stoppingToken.Register(timer.Dispose);
        while (await timer.WaitForNextTickAsync(CancellationToken.None))
        {
            try
            {
                while (await SweepSliceAsync(time.GetUtcNow() - KeptFor, stoppingToken))
                {
                }
            }
            catch (Exception postponed) when (postponed is not OperationCanceledException)
            {
                // Old answers do no harm but take room: not worth stopping the service for.
                log.SweepPostponed(postponed.Message);
            }
        }
    }

    /// <returns>False where nothing is left to sweep.</returns>
    private Task<bool> SweepSliceAsync(DateTimeOffset before, CancellationToken cancellation) => store.WriteAsync(
        async (db, stop) => await db.Answers.Where(a => a.DecidedAt < before).Take(Slice).ExecuteDeleteAsync(stop) == Slice,
        cancellation,
        Deadline);
}
