using System.Collections.Frozen;
using OtpAuthService.Audit;
using OtpAuthService.Bench.Populations;
using OtpAuthService.Bindings;
using OtpAuthService.Callers;
using OtpAuthService.Credentials;
using OtpAuthService.Institutions;
using OtpAuthService.Keys;
using OtpAuthService.Storage;
using OtpAuthService.Submissions;
using OtpAuthService.Verification;

namespace OtpAuthService.Bench.Rivals;

/// <summary>Hands acceptances that nobody had to work out to the product's batches.</summary>
internal sealed class ReadyMadeWrites
{
    /// <summary>As the product's own queue has them.</summary>
    private const int MaxWaiting = 4096;

    private const int MaxBatch = 256;

    private static readonly InstitutionId Institution = InstitutionId.Parse(Population.Institution);

    private static readonly PinnedKey NoKey = new(1);

    private readonly OtpStore store;
    private readonly AuditChains chains;
    private readonly TimeProvider time;
    private readonly MicroBatch<PendingDecision> queue;
    private readonly Caller caller = new("bench", CallerRoles.Frontend, new[] { Institution }.ToFrozenSet());
    private readonly byte[] fingerprint = new byte[32];
    private readonly Institution policy = new() { Id = Institution, DisplayName = "bench", CreatedAt = default };

    // The policy names contractors in plain, which takes no key.
    private readonly ContractorNames names = new(dataKeys: null!);
    private AuditChain? chain;
    private long nextStep;

    public ReadyMadeWrites(OtpStore store, AuditChains chains, TimeProvider time)
    {
        this.store = store;
        this.chains = chains;
        this.time = time;
        queue = new MicroBatch<PendingDecision>(MaxWaiting, MaxBatch, WriteBatchAsync);
    }

    /// <param name="row">The credential's row, which is also that of its binding.</param>
    /// <returns>False where the statement did not confirm it.</returns>
    public async Task<bool> WriteAsync(long row)
    {
        var pending = Make(row);
        return queue.TryAdd(pending) && await pending.Answer is not null;
    }

    private PendingDecision Make(long row)
    {
        var submission = new Submission(
            caller, RequestIds.Next(), "Verify", Institution, fingerprint, ContractorId.Parse(Population.ContractorId((int)row - 1)),
            V1.Channel.PcBrowser, V1.Purpose.Login);
        // Above every step that the row has had: counted, so that no row needs a reset.
        var step = new TimeStep(Interlocked.Increment(ref nextStep));
        var verdict = Verdict.Accepted with
        {
            CredentialRef = row,
            TimeStep = step,
            AttemptsLeft = GuessLimits.Loosest.Temporary,
        };
        return new PendingDecision(submission, _ => throw new InvalidOperationException("There is no act behind it."), CancellationToken.None)
        {
            Otp = new CheckedOtp(new KeyedCredential(row, Epoch: 0, NoKey, V1.Algorithm.Sha1, 6, 30, DriftSteps: 0, CredentialStatus.Active, "bench"), FitsCredential: true, default, step, default),
            Policy = policy,
            Proposal = new Proposal(verdict),
        };
    }

    private async Task WriteBatchAsync(List<PendingDecision> batch)
    {
        try
        {
            var now = time.GetUtcNow();
            // One batch at a time, and so one chain.
            chain ??= await chains.TakeAsync();
            var (confirmed, end) = await store.WriteDirectlyAsync(
                (connection, stop) => ProposalStatement.WriteAsync(connection, batch, chain, names, now, careful: false, stop), CancellationToken.None);
            chain.End = end;
            confirmed.ForEach(pending => pending.Complete(new Answer(pending.Proposal!.Verdict, now, Repeated: false)));
            batch.ForEach(pending => pending.Complete(null));
        }
        catch (Exception failure)
        {
            batch.ForEach(pending => pending.Fail(failure));
        }
    }
}
