using System.Collections.Concurrent;
using System.Diagnostics;
using Microsoft.EntityFrameworkCore;
using OtpAuthService.Credentials;
using OtpAuthService.Storage;

namespace OtpAuthService.Institutions;

/// <summary>The institutions with their policies. A changed policy is in force everywhere within <see cref="Age"/>.</summary>
internal sealed class InstitutionDirectory(OtpStore store)
{
    /// <summary>How old a policy may be that decides. Real time, not TimeProvider: it paces readings of the database.</summary>
    public static readonly TimeSpan Age = TimeSpan.FromSeconds(1);

    private readonly ConcurrentDictionary<InstitutionId, Reading> known = new();

    /// <exception cref="InstitutionMissingException">It was never set up here.</exception>
    public async ValueTask<Institution> FindAsync(InstitutionId id, CancellationToken cancellation)
    {
        if (known.TryGetValue(id, out var reading) && reading.Age < Age)
        {
            if (reading.Age > Age / 2 && reading.TakesRefreshing())
            {
                // One call has it read again, and neither that one nor the others wait: a busy service never runs out of a fresh policy.
                _ = RefreshAsync(id);
            }

            return reading.Institution;
        }

        return await ReadAsync(id, cancellation);
    }

    /// <summary>Has the next <see cref="FindAsync"/> read the database.</summary>
    public void Forget(InstitutionId id) => known.TryRemove(id, out _);

    /// <summary>As it is in the database now.</summary>
    /// <inheritdoc cref="FindAsync" path="/exception"/>
    public async Task<Institution> ReadAsync(InstitutionId id, CancellationToken cancellation)
    {
        // Dated before the reading: it may be older than its arrival.
        var readAt = Stopwatch.GetTimestamp();
        var institution = await store.ReadAsync(
            async (db, stop) =>
            {
                var found = await db.Institutions.AsNoTracking().SingleOrDefaultAsync(i => i.Id == id, stop);
                found?.Suppliers = new Suppliers(await Suppliers.InForce(db, id).ToListAsync(stop));
                return found;
            },
            cancellation) ?? throw new InstitutionMissingException(id);
        known[id] = new Reading(institution, readAt);
        return institution;
    }

    private async Task RefreshAsync(InstitutionId id)
    {
        try
        {
            await ReadAsync(id, CancellationToken.None);
        }
        catch (Exception)
        {
            // The next call finds the policy too old, reads it itself, and says what is wrong.
        }
    }

    private sealed class Reading(Institution institution, long readAt)
    {
        private int refreshing;

        public Institution Institution => institution;

        public TimeSpan Age => Stopwatch.GetElapsedTime(readAt);

        /// <returns>True for the first who asks.</returns>
        public bool TakesRefreshing() => Interlocked.Exchange(ref refreshing, 1) == 0;
    }
}
