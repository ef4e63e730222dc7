using OtpAuthService.Institutions;
using OtpAuthService.Submissions;

namespace OtpAuthService.Bindings;

/// <summary>SetBypassOptOut: whether a contractor may be answered without an OTP at all ("never bypass me"). Holds from its answer on, on every replica.</summary>
internal sealed class BypassOptOut(DecisionLedger ledger, InstitutionDirectory institutions)
{
    public async Task<Answer> SetAsync(Submission submission, bool never, CancellationToken cancellation)
    {
        var policy = await institutions.FindAsync(submission.Institution, cancellation);
        var pending = new PendingDecision(
            submission,
            turn =>
            {
                turn.Contractor.NeverBypassed = never;
                return new(Verdict.Accepted);
            },
            cancellation) { Policy = policy };
        return (await ledger.DecideAsync(pending))!;
    }
}
