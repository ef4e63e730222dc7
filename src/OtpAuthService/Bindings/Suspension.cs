using OtpAuthService.Submissions;
using OtpAuthService.Verification;

namespace OtpAuthService.Bindings;

/// <summary>
/// Suspend (利用停止): the contractor stops using OTPs. It takes an OTP of the credential that is to be stopped: were the password enough,
/// whoever phished it could turn the OTP off.
/// </summary>
internal sealed class Suspension(BindingDirectory bindings, OtpChecker checker, DecisionLedger ledger)
{
    public async Task<Answer> SuspendAsync(Submission submission, ContractorRef contractor, Otp otp, CancellationToken cancellation)
    {
        foreach (var reading in OnCurrent.Readings)
        {
            var current = await bindings.FindAsync(contractor, reading, cancellation);
            using var check = current.Credential is { } credential ? checker.Check(credential, current.Institution, otp) : null;
            if (await ledger.DecideAsync(Pending(submission, current, check, cancellation)) is { } answer)
            {
                return answer;
            }
        }

        throw OnCurrent.KeepsChanging();
    }

    private static PendingDecision Pending(Submission submission, CurrentBinding current, CheckedOtp? otp, CancellationToken cancellation)
    {
        switch (current.Binding?.State)
        {
            case null:
                return UnlessChanged(Verdict.Deny(Outcome.NotRegistered));
            case BindingState.Suspended:
                // What was asked for holds already; the OTP is neither evaluated nor claimed.
                return UnlessChanged(new Verdict(Outcome.Suspended, Decision.Allow));
            case BindingState.Stopped:
                // The bank's stop is not the contractor's to turn into an opt-out.
                return UnlessChanged(Verdict.Deny(Outcome.Suspended));
            case BindingState.Lost:
                return UnlessChanged(Verdict.Deny(Outcome.Lost));
            case BindingState.Active:
                var binding = current.Binding.Value;
                return new PendingDecision(submission, turn => new(Decide(turn, binding, otp!)), cancellation) { Otp = otp, Policy = current.Institution };
            default:
                throw new InvalidOperationException($"Binding state {current.Binding?.State} is not known.");
        }

        PendingDecision UnlessChanged(Verdict verdict) =>
            new(submission, turn => new(turn.IsCurrent(current.Binding) ? verdict : null), cancellation) { Policy = current.Institution };
    }

    private static Verdict? Decide(Turn turn, BindingReading binding, CheckedOtp otp)
    {
        var verdict = OtpChecker.Settle(turn, binding, otp);
        if (verdict is { Outcome: Outcome.Accepted })
        {
            turn.Binding!.Suspend(turn.Now);
            return verdict with { Events = [EventKind.Suspended] };
        }

        return verdict;
    }
}
