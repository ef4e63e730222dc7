using Microsoft.EntityFrameworkCore;
using OtpAuthService.Events;
using OtpAuthService.Submissions;
using OtpAuthService.Telemetry;

namespace OtpAuthService.Storage;

/// <summary>Removes stored answers that no retry may ask for any more, and events that are not kept any longer.</summary>
internal sealed class Sweeper(OtpStore store, TimeProvider time, ILogger<Sweeper> log) : BackgroundService
{
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(30);

    /// <summary>What one statement deletes at most, so that it holds nobody up also after a long pause.</summary>
    private const int Slice = 5_000;

    /// <summary>The table of answers holds some minutes of them and is read through for it: there is no index by time.</summary>
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(10);

    /// <summary>Longer than the lifetime by twice what a replica's clock may be off at most, so that no replica deletes what another still repeats.</summary>
    private static readonly TimeSpan AnswersKeptFor = StoredAnswer.Lifetime + TimeSpan.FromSeconds(60);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Pause, time);
        // The service stops by disposing of the timer, which ends the loop: a cancelled wait would count as a failure where the start fails.
        using var stop = stoppingToken.Register(timer.Dispose);
        while (await timer.WaitForNextTickAsync(CancellationToken.None))
        {
            try
            {
                await SweepAsync(SliceOfAnswers, time.GetUtcNow() - AnswersKeptFor, stoppingToken);
                await SweepAsync(SliceOfEvents, time.GetUtcNow() - ContractorEvent.Lifetime, stoppingToken);
            }
            catch (Exception postponed) when (postponed is not OperationCanceledException)
            {
                // What is old does no harm but takes room: not worth stopping the service for.
                log.SweepPostponed(postponed.Message);
            }
        }
    }

    private async Task SweepAsync<T>(Func<OtpDbContext, DateTimeOffset, IQueryable<T>> slice, DateTimeOffset before, CancellationToken cancellation)
    {
        while (await store.WriteAsync(async (db, stop) => await slice(db, before).ExecuteDeleteAsync(stop), cancellation, Deadline) == Slice)
        {
        }
    }

    private static IQueryable<StoredAnswer> SliceOfAnswers(OtpDbContext db, DateTimeOffset before) => db.Answers.Where(a => a.DecidedAt < before).Take(Slice);

    /// <summary>Only the oldest by number are looked at: there may be millions, and no index by time.</summary>
    private static IQueryable<ContractorEvent> SliceOfEvents(OtpDbContext db, DateTimeOffset before) =>
        db.Events.OrderBy(e => e.Id).Take(Slice).Where(e => e.OccurredAt < before);
}
