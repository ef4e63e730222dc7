using OtpAuthService.Bindings;
using OtpAuthService.Submissions;

namespace OtpAuthService.Verification;

/// <summary>Verify: decides on one OTP for one purpose. The order of its steps, and why: README.md beside this file.</summary>
internal sealed class OtpVerifier(BindingDirectory bindings, OtpChecker checker, DecisionLedger ledger)
{
    /// <param name="otp">Null only for a caller that is answered without one.</param>
    public Task<Answer> VerifyAsync(Submission submission, ContractorRef contractor, Otp? otp, CancellationToken cancellation) =>
        otp is { } submitted
            ? OnCurrent.ReadAsync(() => VerifyOnceAsync(submission, contractor, submitted, cancellation))
            : ledger.DecideAsync(
                submission, _ => Task.FromResult<Verdict?>(new Verdict(Outcome.Bypassed, Decision.Allow)), cancellation)!;

    private async Task<Answer?> VerifyOnceAsync(Submission submission, ContractorRef contractor, Otp otp, CancellationToken cancellation)
    {
        var (institution, binding, budget) = await bindings.FindAsync(contractor, cancellation);
        switch (binding?.State)
        {
            case null:
                return await WithoutAsync(Outcome.NotRegistered);
            case BindingState.Suspended:
                return await WithoutAsync(Outcome.Suspended);
            case BindingState.Active:
                var check = await checker.CheckAsync(binding.Credential, institution, budget, otp);
                var answer = await ledger.DecideAsync(
                    submission, scope => OtpChecker.SettleAsync(scope, contractor, binding, check), cancellation);
                checker.Remember(answer, check, institution);
                return answer;
            default:
                throw new InvalidOperationException($"Binding state {binding.State} is not known.");
        }

        Task<Answer?> WithoutAsync(Outcome outcome)
        {
            var verdict = new Verdict(outcome, institution.DecideWithoutCredential(outcome, submission.Purpose));
            return ledger.DecideAsync(
                submission, async scope => await scope.IsCurrentAsync(contractor, binding) ? verdict : null, cancellation);
        }
    }
}
