using OtpAuthService.Submissions;

namespace OtpAuthService.Bindings;

/// <summary>Unlock: an operator ends a lockout and clears the count of wrong OTPs.</summary>
internal sealed class Unlocking(BindingActs acts)
{
    /// <returns>Accepted, or NotRegistered where nothing is known of the contractor.</returns>
    public Task<Answer> UnlockAsync(Submission submission, CancellationToken cancellation) =>
        acts.DecideAsync(submission, turn => new(Decide(turn)), cancellation);

    private static Verdict Decide(Turn turn)
    {
        if (turn is { Binding: null, Contractor.ConsecutiveFailures: 0 })
        {
            return Verdict.Deny(Outcome.NotRegistered);
        }

        var locked = turn.Contractor.LockoutAt(turn.Now, turn.Policy.Limits) is not null;
        turn.Contractor.ClearFailures();
        return Verdict.Accepted with { CredentialRef = turn.Binding?.CredentialRef, Events = locked ? [EventKind.Unlocked] : [] };
    }
}
