using Microsoft.EntityFrameworkCore;
using OtpAuthService.Storage;

namespace OtpAuthService.Events;

/// <summary>
/// Up to which number every event is there that ever will be. Numbers are handed out in order, but transactions end in any order: whoever went by the highest
/// number that is to be seen would pass over one whose transaction is still under way, and never come back to it.
/// <para>
/// In PostgreSQL whoever is given a number has a transaction id by then (<c>next_event_id</c>). So once a number is to be seen, all transactions with a lower
/// one have ids below the next that is given out, the mark; and when the oldest transaction under way is not below the mark, all of them have ended.
/// </para>
/// </summary>
internal sealed class EventHorizon
{
    private (long Newest, long Mark)? awaited;

    /// <summary>Events up to this number can be told: none will appear among them.</summary>
    public long Settled { get; private set; }

    /// <summary>The highest number that has been seen.</summary>
    public long Newest { get; private set; }

    /// <summary>Looks again.</summary>
    public async Task AdvanceAsync(OtpDbContext db, CancellationToken stop)
    {
        if (!db.Database.IsNpgsql())
        {
            // SQLite has one writer: what is to be seen is all there is.
            Settled = Newest = await db.Events.MaxAsync(e => (long?)e.Id, stop) ?? 0;
            return;
        }

        // A mark uses up a transaction id, so it is asked for only where there is something to wait for. It is given after the statement's snapshot was taken.
        var asked = awaited?.Newest ?? Settled;
        var seen = await db.Database.SqlQuery<Sight>(
            $"""
             SELECT newest, pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS oldest,
                 CASE WHEN newest > {asked} THEN pg_current_xact_id()::text::bigint END AS mark
             FROM (SELECT coalesce(max(id), 0) AS newest FROM events) AS e
             """).SingleAsync(stop);
        Newest = seen.Newest;
        if (awaited is { } before && seen.Oldest >= before.Mark)
        {
            (Settled, awaited) = (before.Newest, null);
        }

        if (awaited is null && seen.Mark is { } mark)
        {
            awaited = (seen.Newest, mark);
        }
    }

    /// <param name="Newest">The highest number to be seen.</param>
    /// <param name="Oldest">The oldest transaction under way; all below it have ended.</param>
    /// <param name="Mark">Above all transactions that have a number up to the highest.</param>
    private sealed record Sight(long Newest, long Oldest, long? Mark);
}
