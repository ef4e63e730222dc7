using System.Collections.Concurrent;
using Microsoft.EntityFrameworkCore;
using OtpAuthService.Credentials;
using OtpAuthService.Institutions;
using OtpAuthService.Storage;

namespace OtpAuthService.Events;

/// <summary>StreamEvents: tells an institution's events in their order, and goes on with those that come. No connection is held while it waits.</summary>
internal sealed class EventStream(OtpStore store, IHostApplicationLifetime host)
{
    /// <summary>One reader and its successor, on each of two machines.</summary>
    private const int MostPerInstitution = 4;

    private const int Page = 500;

    /// <summary>How long a notice may wait besides what it takes; half a second is soon for a message to a customer.</summary>
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(500);

    /// <summary>While an event waits for the transactions before it, which take some milliseconds.</summary>
    private static readonly TimeSpan ShortPause = TimeSpan.FromMilliseconds(20);

    private readonly ConcurrentDictionary<InstitutionId, int> open = new();

    /// <param name="institution">Whose.</param>
    /// <param name="after">The last one that the reader has dealt with; null: from the oldest that is kept.</param>
    /// <param name="untilNow">Whether to end behind the newest event that there was when the stream began.</param>
    /// <param name="write">Takes each event, with the id of the credential that it is about.</param>
    /// <param name="cancellation">Nobody reads any more.</param>
    /// <exception cref="EventsGoneException">The event that is to be followed is not there.</exception>
    /// <exception cref="EventStreamsBusyException">The institution reads in too many places.</exception>
    /// <exception cref="ServiceStoppingException">To be gone on with on another replica.</exception>
    public async Task RunAsync(
        InstitutionId institution, EventPosition? after, bool untilNow, Func<ContractorEvent, CredentialId?, Task> write, CancellationToken cancellation)
    {
        if (open.AddOrUpdate(institution, 1, (_, others) => others + 1) > MostPerInstitution)
        {
            open.AddOrUpdate(institution, 0, (_, all) => all - 1);
            throw new EventStreamsBusyException();
        }

        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation, host.ApplicationStopping);
        try
        {
            await TellAsync(institution, after, untilNow, write, stop.Token);
        }
        catch (OperationCanceledException) when (host.ApplicationStopping.IsCancellationRequested && !cancellation.IsCancellationRequested)
        {
            throw new ServiceStoppingException();
        }
        finally
        {
            open.AddOrUpdate(institution, 0, (_, all) => all - 1);
        }
    }

    private async Task TellAsync(
        InstitutionId institution, EventPosition? after, bool untilNow, Func<ContractorEvent, CredentialId?, Task> write, CancellationToken stop)
    {
        var horizon = new EventHorizon();
        await LookAsync(horizon, stop);
        var last = untilNow ? horizon.Newest : long.MaxValue;
        var told = after;
        while (true)
        {
            while (await ReadPageAsync(institution, told, Math.Min(horizon.Settled, last), stop) is [.., var end] page)
            {
                foreach (var row in page)
                {
                    await write(row.Event, row.Credential);
                }

                told = end.Event.Position;
            }

            if (horizon.Settled >= last)
            {
                return;
            }

            // Real time, not TimeProvider: it paces readings and decides nothing.
            await Task.Delay(horizon.Newest > horizon.Settled ? ShortPause : Pause, stop);
            await LookAsync(horizon, stop);
        }
    }

    private Task<bool> LookAsync(EventHorizon horizon, CancellationToken cancellation) => store.ReadAsync(
        async (db, stop) =>
        {
            await horizon.AdvanceAsync(db, stop);
            return true;
        },
        cancellation);

    private Task<List<Row>> ReadPageAsync(InstitutionId institution, EventPosition? after, long last, CancellationToken cancellation) => store.ReadAsync(
        async (db, stop) =>
        {
            var first = after?.Id ?? 0;
            var page = await (
                from e in db.Events.AsNoTracking()
                where e.InstitutionId == institution && e.Id > first && e.Id <= last
                join credential in db.Credentials on e.CredentialRef equals (long?)credential.Id into about
                from credential in about.DefaultIfEmpty()
                orderby e.Id
                select new Row(e, credential == null ? null : credential.CredentialId)).Take(Page).ToListAsync(stop);
            // Behind the page: a database that was taken back, also while somebody listens, gives numbers a second time.
            return after is not { } position || await db.Events.AnyAsync(e => e.Id == position.Id && e.EventId == position.EventId && e.InstitutionId == institution, stop)
                ? page
                : throw new EventsGoneException();
        },
        cancellation);

    private sealed record Row(ContractorEvent Event, CredentialId? Credential);
}

/// <summary>The event that was to be followed is not kept any more, or was lost with the newest commits of the database: what came after it may be lost as well.</summary>
internal sealed class EventsGoneException()
    : Exception("there is no such event any more, so what followed it may be missing; an empty resume_token begins with the oldest that is kept");

/// <summary>The institution reads its events in more places than it can need.</summary>
internal sealed class EventStreamsBusyException() : Exception("the institution reads its events in too many places at once")
{
    /// <summary>When it is worth asking again.</summary>
    public static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(10);
}

/// <summary>The replica stops; whoever listened to it goes on at another.</summary>
internal sealed class ServiceStoppingException() : Exception("this replica of the service stops; go on at another")
{
    /// <summary>When it is worth asking again.</summary>
    public static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(1);
}
