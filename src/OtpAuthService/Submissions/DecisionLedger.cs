using System.Diagnostics;
using Npgsql;
using OtpAuthService.Audit;
using OtpAuthService.Bindings;
using OtpAuthService.Callers;
using OtpAuthService.Events;
using OtpAuthService.Storage;
using OtpAuthService.Telemetry;
using OtpAuthService.Verification;

namespace OtpAuthService.Submissions;

/// <summary>
/// Decides each submission once. What an act changes, the guess budget, the stored answer and the audit record are one transaction, which
/// submissions that arrive at the same time share; an answer leaves only after its commit.
/// </summary>
internal sealed class DecisionLedger
{
    /// <summary>Submissions that may wait for their batch: what a busy server decides in a fraction of a second.</summary>
    private const int MaxWaiting = 4096;

    /// <summary>Twice what a call in flight each of a busy front end is; larger batches only make each other wait.</summary>
    private const int MaxBatch = 256;

    /// <summary>A sixth of the shortest time step: a submission that waited longer would be decided on a window that has moved on.</summary>
    private static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(5);

    private readonly OtpStore store;
    private readonly bool confirms;
    private readonly IReplayCache replays;
    private readonly Instruments instruments;
    private readonly FailureTallies failures;
    private readonly AuditChains chains;
    private readonly ContractorNames names;
    private readonly TimeProvider time;
    private readonly MicroBatch<PendingDecision> asking;
    private readonly MicroBatch<PendingDecision> deciding;

    public DecisionLedger(
        OtpStore store,
        StoreSet stores,
        IReplayCache replays,
        Instruments instruments,
        FailureTallies failures,
        AuditChains chains,
        ContractorNames names,
        TimeProvider time)
    {
        this.store = store;
        this.replays = replays;
        this.instruments = instruments;
        this.failures = failures;
        this.chains = chains;
        this.names = names;
        this.time = time;
        // SQLite is a library: its statements cost no round trip, and its turns are as short as one statement.
        confirms = stores.IsPostgres;
        // Redis is asked about the next ones while the database decides on these.
        asking = new MicroBatch<PendingDecision>(MaxWaiting, MaxBatch, AskBatchAsync);
        deciding = new MicroBatch<PendingDecision>(MaxWaiting, MaxBatch, DecideBatchAsync);
    }

    /// <summary>Submissions that wait for their batch.</summary>
    public int Waiting => asking.Waiting + deciding.Waiting;

    /// <summary>Whole milliseconds, as they are stored: the first answer and its repetition are to be the same.</summary>
    private DateTimeOffset Now => DateTimeOffset.FromUnixTimeMilliseconds(time.GetUtcNow().ToUnixTimeMilliseconds());

    /// <summary>Decides in the next batch, unless an earlier delivery was decided, whose answer is given again.</summary>
    /// <returns>The answer, or null where the act returned null: what it was told beforehand is out of date.</returns>
    /// <exception cref="InvalidRequestException">The request id came with other content before, or the act refuses the request.</exception>
    /// <exception cref="StoreUnavailableException">Not decided, or not known to be: a retry with the same id finds out.</exception>
    /// <exception cref="QueueFullException">Not decided: too many are waiting.</exception>
    public Task<Answer?> DecideAsync(PendingDecision pending) =>
        asking.TryAdd(pending) ? pending.Answer : throw new QueueFullException();

    /// <summary>The same in a transaction of its own: for acts that take long or must be saved in several steps.</summary>
    /// <inheritdoc cref="DecideAsync" path="/returns|/exception"/>
    public async Task<Answer> DecideApartAsync(PendingDecision pending, TimeSpan? within = null)
    {
        await SettleAsync([pending], within);
        return (await pending.Answer)!;
    }

    /// <summary>
    /// The answer that an earlier delivery was given, for a request whose content takes long to arrive: when it is here, the answer may be too old.
    /// </summary>
    public Task<StoredAnswer?> FindAnswerAsync(Submission submission) => store.WriteAsync(
        async (db, stop) =>
        {
            var rows = await TurnRows.TakeAsync(db, [new PendingDecision(submission, _ => default, CancellationToken.None)], stop);
            if (rows.AnswerOf(submission) is not { } stored || stored.DecidedAt + StoredAnswer.Lifetime <= Now)
            {
                return null;
            }

            rows.WriteBack(stored);
            await db.SaveChangesAsync(stop);
            return stored;
        },
        CancellationToken.None);

    private async Task AskBatchAsync(List<PendingDecision> batch)
    {
        try
        {
            await AskReplayCacheAsync(batch);
        }
        catch (Exception failure)
        {
            batch.ForEach(pending => pending.Fail(failure));
            return;
        }

        for (var i = deciding.Add(batch); i < batch.Count; i++)
        {
            batch[i].Fail(new QueueFullException());
        }
    }

    private async Task DecideBatchAsync(List<PendingDecision> batch)
    {
        try
        {
            Spans.Waited(batch);
            batch.RemoveAll(LeaveOut);
            await SettleAsync(confirms ? await ConfirmAsync(batch) : batch);
        }
        catch (Exception failure)
        {
            // Not those whose decision stands and is only yet to be told.
            batch.FindAll(pending => !pending.IsSettled).ForEach(pending => pending.Fail(failure));
        }
    }

    /// <summary>Nobody waits for it any more, or its match is too old.</summary>
    private static bool LeaveOut(PendingDecision pending)
    {
        if (pending.Cancellation.IsCancellationRequested)
        {
            pending.Fail(new OperationCanceledException(pending.Cancellation));
            return true;
        }

        if (Stopwatch.GetElapsedTime(pending.Since) > LongestWait)
        {
            pending.Fail(new StoreUnavailableException("too many decisions are waiting"));
            return true;
        }

        return false;
    }

    private async ValueTask AskReplayCacheAsync(List<PendingDecision> batch)
    {
        var matched = new List<CheckedOtp>(batch.Count);
        foreach (var pending in batch)
        {
            AddMatched(pending.Otp);
            AddMatched(pending.SuccessorOtp);
        }

        if (matched.Count > 0)
        {
            using var spans = Spans.Start("ask replay cache", batch);
            await replays.AskAsync(matched);
        }

        void AddMatched(CheckedOtp? otp)
        {
            if (otp is { Step: not null })
            {
                matched.Add(otp);
            }
        }
    }

    /// <summary>Writes the expected verdicts with one statement, which confirms each only if nothing stands against it.</summary>
    /// <returns>What the acts have to decide, in the order of arrival.</returns>
    private async Task<List<PendingDecision>> ConfirmAsync(List<PendingDecision> batch)
    {
        var now = Now;
        var (proposed, others) = FirstOfEach(batch);
        if (proposed.Count == 0)
        {
            return others;
        }

        foreach (var pending in proposed.Where(p => p.Otp is { IsKnownUsed: true }))
        {
            pending.Proposal = OtpChecker.Refuse(pending.Proposal!, pending.Otp!, now);
        }

        try
        {
            var confirmed = await ConfirmAsync(proposed, now);
            Announce([.. confirmed.Select(pending => (pending, (Answer?)new Answer(pending.Proposal!.Verdict, now, Repeated: false)))]);
        }
        catch (StoreUnavailableException unavailable) when (!unavailable.IsRowHeld)
        {
            proposed.ForEach(pending => pending.Fail(unavailable));
        }
        catch (Exception)
        {
            // One of them does not fit, or a lock was not to be had soon: nothing was written, and the acts find out which.
        }

        return [.. batch.Where(p => !p.IsSettled)];
    }

    private async Task<List<PendingDecision>> ConfirmAsync(List<PendingDecision> proposed, DateTimeOffset now)
    {
        try
        {
            return await WriteAsync(careful: false);
        }
        catch (PostgresException again) when (again.SqlState == PostgresErrorCodes.UniqueViolation)
        {
            return await WriteAsync(careful: true);
        }

        Task<List<PendingDecision>> WriteAsync(bool careful) => OnChainAsync(CommitWay.Statement, proposed, chain => store.WriteDirectlyAsync(
            (connection, stop) => ProposalStatement.WriteAsync(connection, proposed, chain, names, now, careful, stop), CancellationToken.None));
    }

    /// <summary>
    /// A proposal may go first only where nothing of its contractor, credential or request id has arrived before it: these are decided one
    /// after the other, in the order of arrival.
    /// </summary>
    private static (List<PendingDecision> Proposed, List<PendingDecision> Others) FirstOfEach(List<PendingDecision> batch)
    {
        var proposed = new List<PendingDecision>(batch.Count);
        var others = new List<PendingDecision>();
        var contractors = new HashSet<ContractorRef>(batch.Count);
        var credentials = new HashSet<long>(batch.Count);
        var submissions = new HashSet<Guid>(batch.Count);
        foreach (var pending in batch)
        {
            var first = pending.Contractor is not { } contractor || contractors.Add(contractor);
            first &= pending.CredentialRef is not { } credential || credentials.Add(credential);
            first &= pending.SuccessorOtp is not { } successor || credentials.Add(successor.Credential.Id);
            first &= submissions.Add(pending.Submission.Key);
            (first && pending.Proposal is not null ? proposed : others).Add(pending);
        }

        return (proposed, others);
    }

    /// <summary>Has the acts decide in one transaction; where that fails through one of them, each contractor's in one of their own.</summary>
    private async Task SettleAsync(List<PendingDecision> batch, TimeSpan? within = null)
    {
        if (batch.Count == 0)
        {
            return;
        }

        try
        {
            var settled = await OnChainAsync(CommitWay.Transaction, batch, chain => store.WriteAsync(
                (db, stop) => SettleAsync(db, batch, chain, names, Now, stop), CancellationToken.None, within));
            foreach (var (pending, _, refusal) in settled.Where(s => s.Refusal is not null))
            {
                pending.Fail(refusal!);
            }

            Announce([.. settled.Where(s => s.Refusal is null).Select(s => (s.Pending, s.Answer))]);
        }
        catch (Exception failure) when (batch.Count == 1 || failure is StoreUnavailableException { IsRowHeld: false })
        {
            batch.ForEach(pending => pending.Fail(failure));
        }
        catch (Exception)
        {
            // Not waited for: whoever is not concerned goes on.
            foreach (var apart in batch.GroupBy(p => p.Contractor))
            {
                _ = SettleOneByOneAsync([.. apart]);
            }
        }
    }

    private async Task SettleOneByOneAsync(List<PendingDecision> ofOneContractor)
    {
        foreach (var pending in ofOneContractor)
        {
            await SettleAsync([pending]);
            if (pending.Answer.Exception?.InnerException is StoreUnavailableException unavailable)
            {
                // The others would wait for the same, one after the other and each for its whole time.
                ofOneContractor.ForEach(later => later.Fail(unavailable));
                return;
            }
        }
    }

    /// <summary>Runs a transaction that adds to a chain of audit records, and lets go of the chain.</summary>
    private async Task<T> OnChainAsync<T>(CommitWay way, List<PendingDecision> batch, Func<AuditChain, Task<(T Result, ChainLink End)>> write)
    {
        var chain = await chains.TakeAsync();
        var (began, committed) = (Stopwatch.GetTimestamp(), false);
        using var spans = Spans.Start("decide", batch).Tag("otp.way", way.ToString());
        try
        {
            var (result, end) = await write(chain);
            committed = true;
            chains.Extend(chain, end);
            return result;
        }
        catch (Exception failure) when (StoreErrors.IsRolledBack(failure))
        {
            // Else it is not known whether the chain goes further: nobody adds to it any more.
            chains.GiveBack(chain);
            throw;
        }
        finally
        {
            instruments.CommitEnded(way, batch.Count, committed, Stopwatch.GetElapsedTime(began));
        }
    }

    /// <summary>Has the acts decide in the open transaction of the context, each after the other.</summary>
    internal static async Task<(List<(PendingDecision Pending, Answer? Answer, InvalidRequestException? Refusal)> Settled, ChainLink End)> SettleAsync(
        OtpDbContext db, List<PendingDecision> batch, AuditChain chain, ContractorNames names, DateTimeOffset now, CancellationToken stop)
    {
        var rows = await TurnRows.TakeAsync(db, batch, stop);
        var settled = new List<(PendingDecision, Answer?, InvalidRequestException?)>(batch.Count);
        var records = new List<AuditRecord>(batch.Count);
        foreach (var pending in batch)
        {
            try
            {
                settled.Add((pending, await DecideAsync(rows, pending, names, records, now, stop), null));
            }
            catch (InvalidRequestException refusal)
            {
                settled.Add((pending, null, refusal));
            }
        }

        var end = chain.Append(records);
        db.AuditRecords.AddRange(records);
        await db.SaveChangesAsync(stop);
        return (settled, end);
    }

    private static async Task<Answer?> DecideAsync(
        TurnRows rows, PendingDecision pending, ContractorNames names, List<AuditRecord> records, DateTimeOffset now, CancellationToken stop)
    {
        if (rows.AnswerOf(pending.Submission) is { } stored && stored.DecidedAt + StoredAnswer.Lifetime > now)
        {
            var repeated = stored.RepeatFor(pending.Submission.Fingerprint);
            rows.WriteBack(stored);
            return repeated;
        }

        if (await pending.Decide(new Turn(rows, pending, now, stop)) is not { } verdict)
        {
            return null;
        }

        if (pending.Contractor is { } contractor)
        {
            rows.Keep(contractor);
        }

        rows.Store(StoredAnswer.Of(pending.Submission, verdict, now));
        rows.Db.Events.AddRange(ContractorEvent.Of(pending.Submission, verdict, now));
        records.Add(AuditRecord.Of(pending.Submission, pending.NameFor(names), pending.Policy?.PolicyVersion, verdict, now));
        return new Answer(verdict, now, Repeated: false);
    }

    /// <summary>
    /// What follows a commit: the callers go on, one after the other and beside the next batch, and the replay cache is told. One work item for
    /// all callers: their answers then leave in a few packets.
    /// </summary>
    private void Announce(List<(PendingDecision Pending, Answer? Answer)> decided)
    {
        decided.ForEach(d => d.Pending.IsSettled = true);
        ThreadPool.UnsafeQueueUserWorkItem(Tell, decided, preferLocal: false);
        var claimed = new List<CheckedOtp>(decided.Count);
        foreach (var (pending, answer) in decided)
        {
            if (answer is { Repeated: false, Verdict: { TimeStep: not null } verdict })
            {
                claimed.AddRange(pending.ClaimedBy(verdict));
            }
        }

        claimed.ForEach(otp => otp.Note());
        replays.Remember(claimed);
    }

    private void Tell(List<(PendingDecision Pending, Answer? Answer)> decided)
    {
        foreach (var (pending, answer) in decided)
        {
            if (answer is not null)
            {
                Spans.Answered(pending.Call, answer);
                instruments.Decided(pending, answer);
                failures.Count(pending.Submission, answer);
            }

            pending.Complete(answer);
        }
    }
}

/// <summary>So many submissions are waiting that another one would not be decided in time. Nothing was decided or counted.</summary>
internal sealed class QueueFullException() : Exception("too many decisions are waiting; nothing was decided")
{
    /// <summary>When it is worth asking again.</summary>
    public static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(1);
}
