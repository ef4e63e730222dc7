using System.Collections.Concurrent;
using System.Diagnostics;
using Microsoft.EntityFrameworkCore;
using OtpAuthService.Storage;

namespace OtpAuthService.Institutions;

/// <summary>The institutions with their policies. A changed policy is in force everywhere within <see cref="Age"/>.</summary>
internal sealed class InstitutionDirectory(OtpStore store)
{
    /// <summary>How old a policy may be that decides. Real time, not TimeProvider: it paces readings of the database.</summary>
    public static readonly TimeSpan Age = TimeSpan.FromSeconds(1);

    private readonly ConcurrentDictionary<InstitutionId, (Institution Institution, long ReadAt)> known = new();

    /// <exception cref="InstitutionMissingException">It was never set up here.</exception>
    public async ValueTask<Institution> FindAsync(InstitutionId id, CancellationToken cancellation)
    {
        if (known.TryGetValue(id, out var entry) && Stopwatch.GetElapsedTime(entry.ReadAt) < Age)
        {
            return entry.Institution;
        }

        // Dated before the reading: it may be older than its arrival.
        var readAt = Stopwatch.GetTimestamp();
        var institution = await store.ReadAsync(
            (db, stop) => db.Institutions.AsNoTracking().SingleOrDefaultAsync(i => i.Id == id, stop), cancellation)
            ?? throw new InstitutionMissingException(id);
        known[id] = (institution, readAt);
        return institution;
    }
}
