using Microsoft.EntityFrameworkCore;
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
        OnCurrent.ReadAsync(() => SuspendOnceAsync(submission, contractor, otp, cancellation));

    private async Task<Answer?> SuspendOnceAsync(Submission submission, ContractorRef contractor, Otp otp, CancellationToken cancellation)
    {
        var (institution, binding, budget) = await bindings.FindAsync(contractor, cancellation);
        switch (binding?.State)
        {
            case null:
                return await UnlessChangedAsync(Verdict.Deny(Outcome.NotRegistered));
            case BindingState.Suspended:
                // What was asked for holds already; the OTP is neither evaluated nor claimed.
                return await UnlessChangedAsync(new Verdict(Outcome.Suspended, Decision.Allow));
            case BindingState.Active:
                var check = await checker.CheckAsync(binding.Credential, institution, budget, otp);
                var answer = await ledger.DecideAsync(submission, scope => DecideAsync(scope, contractor, binding, check), cancellation);
                checker.Remember(answer, check, institution);
                return answer;
            default:
                throw new InvalidOperationException($"Binding state {binding.State} is not known.");
        }

        Task<Answer?> UnlessChangedAsync(Verdict verdict) => ledger.DecideAsync(
            submission, async scope => await scope.IsCurrentAsync(contractor, binding) ? verdict : null, cancellation);
    }

    private static async Task<Verdict?> DecideAsync(DecisionScope scope, ContractorRef contractor, Binding binding, CheckedOtp? otp)
    {
        var verdict = await OtpChecker.SettleAsync(scope, contractor, binding, otp);
        if (verdict is { Outcome: Outcome.Accepted })
        {
            var active = await scope.Db.Bindings.SingleAsync(b => b.Id == binding.Id, scope.Stop);
            active.Suspend(scope.Now);
            // Whoever matched an OTP for the binding before this commit must look again (promise P2).
            await scope.Db.Credentials
                .Where(c => c.Id == binding.CredentialRef)
                .ExecuteUpdateAsync(set => set.SetProperty(c => c.Epoch, c => c.Epoch + 1), scope.Stop);
        }

        return verdict;
    }
}
