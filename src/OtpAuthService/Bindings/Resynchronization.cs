using OtpAuthService.Submissions;
using OtpAuthService.Verification;

namespace OtpAuthService.Bindings;

/// <summary>
/// Resynchronize: learns how far a credential's clock is off, from two OTPs that were shown one right after the other. Both are claimed. Two of
/// them hit by chance some ten million times more rarely than one, so the window may be wide; a miss counts as much as any.
/// </summary>
internal sealed class Resynchronization(BindingDirectory bindings, OtpChecker checker, DecisionLedger ledger)
{
    public async Task<Answer> ResynchronizeAsync(
        Submission submission, ContractorRef contractor, Otp first, Otp second, CancellationToken cancellation)
    {
        foreach (var reading in OnCurrent.Readings)
        {
            var current = await bindings.FindAsync(contractor, reading, cancellation);
            using var pair = current.Credential is { } credential ? checker.CheckPair(credential, first, second) : null;
            var pending = new PendingDecision(submission, turn => new(Decide(turn, current, pair)), cancellation) { Otp = pair, Policy = current.Institution };
            if (await ledger.DecideAsync(pending) is { } answer)
            {
                return answer;
            }
        }

        throw OnCurrent.KeepsChanging();
    }

    private static Verdict? Decide(Turn turn, CurrentBinding read, CheckedOtp? pair)
    {
        if (!turn.IsCurrent(read.Binding))
        {
            return null;
        }

        return pair is null
            ? Verdict.Deny(read.OutcomeWithoutCredential)
            : RefuseIfLocked(turn) ?? Settle(turn, pair);
    }

    /// <summary>By policy two OTPs end a lock that ends by itself; a wrong pair goes on counting towards the one that does not.</summary>
    private static Verdict? RefuseIfLocked(Turn turn) =>
        turn.Policy.ContractorMayUnlock && turn.Contractor.LockoutAt(turn.Now, turn.Policy.Limits) is { Until: not null }
            ? null
            : OtpChecker.RefuseIfLocked(turn);

    private static Verdict? Settle(Turn turn, CheckedOtp pair)
    {
        var credential = turn.CurrentOf(pair.Credential);
        if (!pair.Credential.IsCurrent(credential))
        {
            return null;
        }

        OtpChecker.ThrowIfMisfit(turn, pair, "first_otp");
        if (pair is { FitsCredential: true, Step: null })
        {
            return OtpChecker.Miss(turn, Outcome.Mismatch) with { CredentialRef = credential.Id };
        }

        if (pair.Step?.Plus(-1) is { } first)
        {
            var fenced = Fence.LastRefusedOfPair(turn.Fence, credential);
            if (fenced >= first)
            {
                // The next pair begins behind it. Nobody has used this one, as far as is known.
                return OtpChecker.Settle(turn, pair with { KnownUsed = fenced.Plus(1) }) is { } refused ? refused with { Events = [] } : null;
            }

            if (credential.LastTimeStep >= first || credential.OutOfSyncStep == first)
            {
                pair = pair with { KnownUsed = pair.Step };
            }
        }

        var locked = turn.Contractor.LockoutAt(turn.Now, turn.Policy.Limits) is not null;
        var verdict = OtpChecker.Settle(turn, pair);
        return verdict is { Outcome: Outcome.Accepted }
            ? verdict with { Events = locked ? [EventKind.Resynchronized, EventKind.Unlocked] : [EventKind.Resynchronized] }
            : verdict;
    }
}
