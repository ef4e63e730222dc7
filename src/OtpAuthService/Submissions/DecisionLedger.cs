using System.Security.Cryptography;
using Microsoft.EntityFrameworkCore;
using OtpAuthService.Audit;
using OtpAuthService.Bindings;
using OtpAuthService.Institutions;
using OtpAuthService.Storage;
using OtpAuthService.Telemetry;

namespace OtpAuthService.Submissions;

/// <summary>
/// Decides each submission once. The act's own writes, the guess budget, the stored answer and the audit record are one transaction;
/// the answer leaves only after its commit.
/// </summary>
internal sealed class DecisionLedger(OtpStore store, Instruments instruments, TimeProvider time) : IDisposable
{
    /// <summary>
    /// Decisions of one contractor wait for each other in the database, by its row lock. Those of one process line up here before that, so
    /// that an attack on one contractor waits in memory and not in transactions, whose time is short.
    /// </summary>
    private readonly SemaphoreSlim[] lines = [.. Enumerable.Range(0, 256).Select(_ => new SemaphoreSlim(1))];

    /// <summary>
    /// Runs <paramref name="decide"/> unless an earlier delivery was decided, whose answer is given again. Two deliveries that race
    /// both decide, but the primary key of the stored answer lets only one commit: the other is rolled back whole and reads the answer.
    /// </summary>
    /// <returns>The answer, or null where <paramref name="decide"/> returned null: what it was told beforehand is out of date.</returns>
    /// <exception cref="InvalidRequestException">The request id came with other content before.</exception>
    /// <exception cref="StoreUnavailableException">Not decided, or not known to be: a retry with the same id finds out.</exception>
    public async Task<Answer?> DecideAsync(
        Submission submission, Func<DecisionScope, Task<Verdict?>> decide, CancellationToken cancellation, TimeSpan? within = null)
    {
        var line = submission.Contractor is { } contractor
            ? lines[(uint)HashCode.Combine(submission.Institution, contractor) % lines.Length]
            : null;
        if (line is not null)
        {
            await store.WaitInLineAsync(line, cancellation);
        }

        try
        {
            var answer = await store.WriteAsync((db, stop) => DecideOnceAsync(db, submission, decide, stop), cancellation, within);
            if (answer is not null)
            {
                instruments.Decided(submission, answer);
            }

            return answer;
        }
        finally
        {
            line?.Release();
        }
    }

    public void Dispose() => Array.ForEach(lines, line => line.Dispose());

    private async Task<Answer?> DecideOnceAsync(
        OtpDbContext db, Submission submission, Func<DecisionScope, Task<Verdict?>> decide, CancellationToken stop)
    {
        // Whole milliseconds, as they are stored: the first answer and its repetition are to be the same.
        var now = DateTimeOffset.FromUnixTimeMilliseconds(time.GetUtcNow().ToUnixTimeMilliseconds());
        if (await FindAnswerAsync(db, submission, now, stop) is { } first)
        {
            return first;
        }

        if (await decide(new DecisionScope(db, now, stop)) is not { } verdict)
        {
            return null;
        }

        db.Answers.Add(StoredAnswer.Of(submission, verdict, now));
        db.AuditRecords.Add(AuditRecord.Of(submission, verdict, now));
        await db.SaveChangesAsync(stop);
        return new Answer(verdict, now, Repeated: false);
    }

    private static async Task<Answer?> FindAnswerAsync(OtpDbContext db, Submission submission, DateTimeOffset now, CancellationToken stop)
    {
        var mine = db.Answers.Where(a => a.CallerId == submission.Caller.Id && a.RequestId == submission.RequestId);
        if (await mine.AsNoTracking().SingleOrDefaultAsync(stop) is not { } stored)
        {
            return null;
        }

        if (stored.DecidedAt + StoredAnswer.Lifetime <= now)
        {
            await mine.ExecuteDeleteAsync(stop);
            return null;
        }

        if (!CryptographicOperations.FixedTimeEquals(stored.Fingerprint, submission.Fingerprint))
        {
            throw new InvalidRequestException("request_id", "was used for another request within the last 120 s; each submission takes a new one");
        }

        // Written back as it is: the first delivery's commit may still wait for the standby, and then this one's has to as well (promise P1).
        await mine.ExecuteUpdateAsync(set => set.SetProperty(a => a.DecidedAt, a => a.DecidedAt), stop);
        return stored.Repeat();
    }
}

/// <summary>What an act decides with: the transaction's context and one moment for all of it.</summary>
internal sealed record DecisionScope(OtpDbContext Db, DateTimeOffset Now, CancellationToken Stop)
{
    /// <summary>
    /// Whether a contractor's newest binding is still the one that was read, in the same state. While the contractor's turn is held it stays
    /// so until the commit.
    /// </summary>
    /// <param name="contractor">Whose binding.</param>
    /// <param name="read">What was read before the transaction; null where there was none.</param>
    public async Task<bool> IsCurrentAsync(ContractorRef contractor, Binding? read)
    {
        var newest = await Db.Bindings
            .Where(b => b.InstitutionId == contractor.Institution && b.ContractorId == contractor.Contractor)
            .OrderByDescending(b => b.Id)
            .Select(b => new { b.Id, b.State })
            .FirstOrDefaultAsync(Stop);
        return newest?.Id == read?.Id && newest?.State == read?.State;
    }

    /// <summary>
    /// Takes the contractor's turn: from here to the commit no other decision of this contractor is made anywhere. The first write of
    /// every transaction, so that locks are always taken in the order contractor, credential.
    /// </summary>
    public async Task<Contractor> LockContractorAsync(ContractorRef contractor)
    {
        var row = Db.Contractors.Where(c => c.InstitutionId == contractor.Institution && c.ContractorId == contractor.Contractor);
        var known = await row.ExecuteUpdateAsync(set => set.SetProperty(c => c.Revision, c => c.Revision + 1), Stop);
        if (known == 0)
        {
            // Two first submissions may race to here: the primary key lets one through, the other is run again and finds the row.
            Db.Contractors.Add(new Contractor { InstitutionId = contractor.Institution, ContractorId = contractor.Contractor });
            await Db.SaveChangesAsync(Stop);
        }

        return await row.SingleAsync(Stop);
    }
}
