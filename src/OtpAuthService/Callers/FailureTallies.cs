using System.Collections.Concurrent;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;
using OtpAuthService.Hosting;
using OtpAuthService.Institutions;
using OtpAuthService.Storage;
using OtpAuthService.Submissions;
using OtpAuthService.Telemetry;

namespace OtpAuthService.Callers;

/// <summary>
/// Counts wrong OTPs by caller and institution over all contractors, which is where spraying shows: few tries at each of many (promise P5). A
/// replica knows its own at once and those of the others within <see cref="Pause"/>, through a table with a row per minute.
/// </summary>
internal sealed class FailureTallies(
    OtpStore store, CallerDirectory callers, SecurityEvents events, IOptions<OtpAuthOptions> options, TimeProvider time, ILogger<FailureTallies> log) : BackgroundService
{
    /// <summary>How far back is counted, in whole minutes of the clock.</summary>
    public static readonly TimeSpan Window = TimeSpan.FromMinutes(10);

    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(1);

    private readonly ConcurrentDictionary<(string Caller, InstitutionId Institution), Tally> tallies = new();
    private readonly ConcurrentDictionary<InstitutionId, bool> signalled = new();

    /// <summary>Share of each caller's budget that is used, for each institution; 1 and more: spent.</summary>
    public IEnumerable<(string Caller, InstitutionId Institution, double Share)> Used =>
        from caller in callers.All
        from institution in caller.Institutions
        select (caller.Id, institution, (double)CountOf(caller, institution) / caller.FailureBudget.Stop);

    /// <summary>The same over all callers, as a share of what raises a security event.</summary>
    public IEnumerable<(InstitutionId Institution, double Share)> UsedByInstitution =>
        from institution in callers.All.SelectMany(caller => caller.Institutions).Distinct()
        select (institution, (double)CountAt(institution) / options.Value.InstitutionFailureSignal);

    /// <summary>Counts an answer that was a wrong guess; call it for every answer once.</summary>
    public void Count(Submission submission, Answer answer)
    {
        // Where an act takes two, a mismatch is of people, not of OTPs.
        if (answer is { Repeated: false, Verdict.Outcome: Outcome.Mismatch or Outcome.OutOfSync or Outcome.CredentialUnknown }
            && submission.Rpc is not ("ConfirmTemporaryOtp" or "ConfirmExport" or "ExportCredentials"))
        {
            tallies.GetOrAdd((submission.Caller.Id, submission.Institution), _ => new Tally()).Count();
            Signal(submission.Caller, submission.Institution);
        }
    }

    /// <summary>To be asked before an OTP is looked at.</summary>
    /// <exception cref="FailureBudgetSpentException">Too many were wrong.</exception>
    public void ThrowIfSpent(Caller caller, InstitutionId institution)
    {
        if (CountOf(caller, institution) >= caller.FailureBudget.Stop)
        {
            throw new FailureBudgetSpentException();
        }
    }

    // Real time, not TimeProvider: it paces reading and writing.
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Pause);
        using var stop = stoppingToken.Register(timer.Dispose);
        do
        {
            await TryShareAsync();
        }
        while (await timer.WaitForNextTickAsync(CancellationToken.None));

        // Its endpoints have closed by now: what it has counted since is for the other replicas.
        await TryShareAsync();
    }

    private async Task TryShareAsync()
    {
        try
        {
            await ShareAsync();
        }
        catch (Exception postponed)
        {
            // What was not written is written next time; a replica's own count goes on.
            log.TalliesNotShared(postponed.Message);
        }
    }

    private async Task ShareAsync()
    {
        var minute = MinuteOf(time.GetUtcNow());
        var unwritten = tallies.Select(t => (t.Key, Failures: t.Value.Unwritten)).Where(t => t.Failures > 0)
            .OrderBy(t => t.Key.Caller, StringComparer.Ordinal).ThenBy(t => t.Key.Institution.Value, StringComparer.Ordinal).ToList();
        if (unwritten.Count > 0)
        {
            await store.WriteAsync((db, stop) => WriteAsync(db, unwritten, minute, stop), CancellationToken.None);
            unwritten.ForEach(t => tallies[t.Key].Written(t.Failures));
        }

        var first = minute - (int)Window.TotalMinutes;
        var sums = await store.ReadAsync(
            (db, stop) => db.FailureMinutes.Where(m => m.Minute > first)
                .GroupBy(m => new { m.CallerId, m.InstitutionId })
                .Select(g => new { g.Key.CallerId, g.Key.InstitutionId, Failures = g.Sum(m => m.Failures) })
                .ToListAsync(stop),
            CancellationToken.None);
        var found = sums.ToDictionary(s => (s.CallerId, s.InstitutionId), s => s.Failures);
        foreach (var key in found.Keys.Concat(tallies.Keys).Distinct())
        {
            tallies.GetOrAdd(key, _ => new Tally()).Read(found.GetValueOrDefault(key));
        }
    }

    private static async Task<int> WriteAsync(
        OtpDbContext db, List<((string Caller, InstitutionId Institution) Key, int Failures)> unwritten, long minute, CancellationToken stop)
    {
        foreach (var ((caller, institution), failures) in unwritten)
        {
            await db.Database.ExecuteSqlAsync(
                $"""
                 INSERT INTO failure_minutes (caller_id, institution_id, minute, failures) VALUES ({caller}, {institution.Value}, {minute}, {failures})
                 ON CONFLICT (caller_id, institution_id, minute) DO UPDATE SET failures = failure_minutes.failures + excluded.failures
                 """,
                stop);
        }

        var old = minute - (2 * (long)Window.TotalMinutes);
        return await db.FailureMinutes.Where(m => m.Minute < old).ExecuteDeleteAsync(stop);
    }

    /// <summary>Raises an event where a threshold is reached, once until the count has fallen below it again.</summary>
    private void Signal(Caller caller, InstitutionId institution)
    {
        var count = CountOf(caller, institution);
        var tally = tallies[(caller.Id, institution)];
        var level = count >= caller.FailureBudget.Stop ? 2 : count >= caller.FailureBudget.Signal ? 1 : 0;
        if (tally.Raise(level))
        {
            events.Raise(level == 2 ? "FAILURE_BUDGET_SPENT" : "FAILURES_OF_CALLER", caller.Id);
        }

        var above = CountAt(institution) >= options.Value.InstitutionFailureSignal;
        if (above && signalled.TryAdd(institution, true))
        {
            events.Raise("FAILURES_AT_INSTITUTION", caller.Id);
        }
        else if (!above)
        {
            signalled.TryRemove(institution, out _);
        }
    }

    private int CountOf(Caller caller, InstitutionId institution) =>
        tallies.TryGetValue((caller.Id, institution), out var tally) ? tally.Total : 0;

    private int CountAt(InstitutionId institution) => tallies.Where(t => t.Key.Institution == institution).Sum(t => t.Value.Total);

    private static long MinuteOf(DateTimeOffset moment) => moment.ToUnixTimeSeconds() / 60;

    /// <summary>What was counted here stays in the total on its way to the table and back: else guesses would slip past while it is written.</summary>
    private sealed class Tally
    {
        private readonly Lock gate = new();
        private int unwritten;
        private int unread;
        private int read;
        private int raised;

        public int Total
        {
            get
            {
                lock (gate)
                {
                    return read + unread + unwritten;
                }
            }
        }

        public int Unwritten
        {
            get
            {
                lock (gate)
                {
                    return unwritten;
                }
            }
        }

        public void Count()
        {
            lock (gate)
            {
                unwritten++;
            }
        }

        /// <summary>So many are in the table now.</summary>
        public void Written(int failures)
        {
            lock (gate)
            {
                unwritten -= failures;
                unread += failures;
            }
        }

        /// <summary>What the table says, with all that was written before.</summary>
        public void Read(int failures)
        {
            lock (gate)
            {
                read = failures;
                unread = 0;
            }
        }

        /// <returns>True for the first who comes to a level from below it.</returns>
        public bool Raise(int level) => Interlocked.Exchange(ref raised, level) < level;
    }
}

/// <summary>Wrong OTPs of one caller and institution within one minute.</summary>
internal sealed class FailureMinute
{
    public required string CallerId { get; init; }

    public required InstitutionId InstitutionId { get; init; }

    /// <summary>Minutes since 1970-01-01 UTC.</summary>
    public required long Minute { get; init; }

    public required int Failures { get; init; }
}

/// <summary>So many OTPs of the caller were wrong that no more of them are looked at for now. Nothing was decided or counted.</summary>
internal sealed class FailureBudgetSpentException() : Exception("too many OTPs of this caller were wrong; nothing was decided")
{
    /// <summary>The window moves on by minutes.</summary>
    public static readonly TimeSpan RetryAfter = TimeSpan.FromMinutes(1);
}
