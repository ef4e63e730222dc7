using OtpAuthService.Submissions;
using OtpAuthService.Verification;

namespace OtpAuthService.Bindings;

/// <summary>
/// Suspend (利用停止): the contractor stops using OTPs. It takes an OTP of the credential that is to be stopped: were the password enough,
/// whoever phished it could turn the OTP off.
/// </summary>
internal sealed class Suspension(BindingDirectory bindings, OtpChecker checker, DecisionLedger ledger)
{
    public Task<Answer> SuspendAsync(Submission submission, ContractorRef contractor, Otp otp, CancellationToken cancellation) =>
        OnCurrent.ReadAsync(reading => SuspendOnceAsync(submission, contractor, otp, reading, cancellation));

    private async Task<Answer?> SuspendOnceAsync(
        Submission submission, ContractorRef contractor, Otp otp, Reading reading, CancellationToken cancellation)
    {
        var current = await bindings.FindAsync(contractor, reading, cancellation);
        switch (current.Binding?.State)
        {
            case null:
                return await UnlessChangedAsync(Verdict.Deny(Outcome.NotRegistered));
            case BindingState.Suspended:
                // What was asked for holds already; the OTP is neither evaluated nor claimed.
                return await UnlessChangedAsync(new Verdict(Outcome.Suspended, Decision.Allow));
            case BindingState.Active:
                var binding = current.Binding.Value;
                var check = checker.Check(current.Credential!, current.Institution, otp);
                return await ledger.DecideAsync(
                    new PendingDecision(submission, turn => new(Decide(turn, binding, check)), cancellation) { Otp = check });
            default:
                throw new InvalidOperationException($"Binding state {current.Binding?.State} is not known.");
        }

        Task<Answer?> UnlessChangedAsync(Verdict verdict) => ledger.DecideAsync(
            new PendingDecision(submission, turn => new(turn.IsCurrent(current.Binding) ? verdict : null), cancellation));
    }

    private static Verdict? Decide(Turn turn, BindingReading binding, CheckedOtp otp)
    {
        var verdict = OtpChecker.Settle(turn, binding, otp);
        if (verdict is { Outcome: Outcome.Accepted })
        {
            turn.Binding!.Suspend(turn.Now);
        }

        return verdict;
    }
}
