using OtpAuthService.Bindings;
using OtpAuthService.Submissions;

namespace OtpAuthService.Verification;

/// <summary>Verify: decides on one OTP for one purpose. The order of its steps, and why: README.md beside this file.</summary>
internal sealed class OtpVerifier(BindingDirectory bindings, OtpChecker checker, DecisionLedger ledger)
{
    /// <param name="otp">Null only for a caller that is answered without one.</param>
    public Task<Answer> VerifyAsync(Submission submission, ContractorRef contractor, Otp? otp, CancellationToken cancellation) =>
        otp is { } submitted
            ? OnCurrent.ReadAsync(reading => VerifyOnceAsync(submission, contractor, submitted, reading, cancellation))
            : BypassAsync(submission, cancellation);

    private async Task<Answer?> VerifyOnceAsync(
        Submission submission, ContractorRef contractor, Otp otp, Reading reading, CancellationToken cancellation)
    {
        var current = await bindings.FindAsync(contractor, reading, cancellation);
        switch (current.Binding?.State)
        {
            case null:
                return await WithoutAsync(Outcome.NotRegistered);
            case BindingState.Suspended:
                return await WithoutAsync(Outcome.Suspended);
            case BindingState.Active:
                var binding = current.Binding.Value;
                var check = checker.Check(current.Credential!, current.Institution, otp);
                var answer = await ledger.DecideAsync(
                    new PendingDecision(submission, turn => new(OtpChecker.Settle(turn, binding, check)), cancellation)
                    {
                        Otp = check,
                        Proposal = current.FailuresCounted ? null : OtpChecker.Propose(check),
                    });
                if (answer is { Verdict.Outcome: Outcome.Mismatch })
                {
                    // What was counted has begun an epoch: the next act need not find that out.
                    bindings.Forget(contractor);
                }

                return answer;
            default:
                throw new InvalidOperationException($"Binding state {current.Binding?.State} is not known.");
        }

        Task<Answer?> WithoutAsync(Outcome outcome)
        {
            var verdict = new Verdict(outcome, current.Institution.DecideWithoutCredential(outcome, submission.Purpose));
            return ledger.DecideAsync(
                new PendingDecision(submission, turn => new(turn.IsCurrent(current.Binding) ? verdict : null), cancellation));
        }
    }

    private async Task<Answer> BypassAsync(Submission submission, CancellationToken cancellation)
    {
        var verdict = new Verdict(Outcome.Bypassed, Decision.Allow);
        var answer = await ledger.DecideAsync(
            new PendingDecision(submission, _ => new(verdict), cancellation) { Proposal = new Proposal(verdict) });
        return answer!;
    }
}
