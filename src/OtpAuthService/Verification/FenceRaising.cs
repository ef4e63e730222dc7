using Microsoft.Extensions.Options;
using OtpAuthService.Hosting;
using OtpAuthService.Storage;
using OtpAuthService.Submissions;

namespace OtpAuthService.Verification;

/// <summary>RaiseFence and GetFence: an operator's word that the database has lost commits. What the service sees by itself is <see cref="LostCommits"/>.</summary>
internal sealed class FenceRaising(DecisionLedger ledger, OtpStore store, IOptions<OtpAuthOptions> options)
{
    /// <summary>Looks through all contractors for temporary OTPs.</summary>
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(5);

    /// <param name="submission">The request.</param>
    /// <param name="until">Up to when; null: as far as an OTP can have been accepted by now. Below the one in force it is on record, and changes nothing.</param>
    /// <param name="cancellation">The caller no longer waits.</param>
    /// <returns>The answer, and the fence in force; null where there is none, because this one is of 1970.</returns>
    public async Task<(Answer Answer, Fence? InForce)> RaiseAsync(Submission submission, DateTimeOffset? until, CancellationToken cancellation)
    {
        var answer = await ledger.DecideApartAsync(
            new PendingDecision(
                submission,
                async turn =>
                {
                    var fence = new Fence
                    {
                        // A request id is free again after its lifetime; this is not.
                        Evidence = $"request {Guid.NewGuid():N}",
                        Until = until ?? Fence.Covering(turn.Now, options.Value.MaxClockOffset),
                        RaisedAt = turn.Now,
                        Reason = submission.Reason!,
                    };
                    await Fence.RaiseAsync(turn.Db, fence, turn.Stop);
                    return Verdict.Accepted;
                },
                cancellation),
            Deadline);
        return (answer, await FindAsync(cancellation));
    }

    /// <summary>The fence in force; null where none was ever raised.</summary>
    public Task<Fence?> FindAsync(CancellationToken cancellation) => store.ReadAsync(Fence.FindAsync, cancellation);
}
