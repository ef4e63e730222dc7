using Microsoft.EntityFrameworkCore;
using OtpAuthService.Credentials;
using OtpAuthService.Submissions;
using OtpAuthService.Verification;

namespace OtpAuthService.Bindings;

/// <summary>Register (利用登録): binds a credential to a contractor, proven by a current OTP, which is burned.</summary>
internal sealed class Registration(BindingDirectory bindings, OtpChecker checker, DecisionLedger ledger)
{
    public Task<Answer> RegisterAsync(
        Submission submission, ContractorRef contractor, CredentialId credential, Otp otp, CancellationToken cancellation) =>
        OnCurrent.ReadAsync(() => RegisterOnceAsync(submission, contractor, credential, otp, cancellation));

    private async Task<Answer?> RegisterOnceAsync(
        Submission submission, ContractorRef contractor, CredentialId id, Otp otp, CancellationToken cancellation)
    {
        var (institution, credential) = await bindings.FindCredentialAsync(contractor.Institution, id, cancellation);
        var budget = await bindings.FindBudgetAsync(contractor, cancellation);
        var check = credential is null ? null : await checker.CheckAsync(credential, institution, budget, otp);
        var answer = await ledger.DecideAsync(submission, scope => DecideAsync(scope, contractor, credential, check), cancellation);
        checker.Remember(answer, check, institution);
        return answer;
    }

    /// <param name="scope">The transaction.</param>
    /// <param name="contractor">Who registers.</param>
    /// <param name="credential">The credential as it was read; null where there is none.</param>
    /// <param name="otp">The OTP held against it; null where it was not, for want of a credential or because the contractor was locked.</param>
    private static async Task<Verdict?> DecideAsync(DecisionScope scope, ContractorRef contractor, Credential? credential, CheckedOtp? otp)
    {
        var budget = await scope.LockContractorAsync(contractor);
        if (await HasActiveBindingAsync(scope, contractor))
        {
            return Verdict.Deny(Outcome.AlreadyRegistered);
        }

        if (OtpChecker.RefuseIfLocked(scope, budget) is { } locked)
        {
            return locked;
        }

        if (credential is null)
        {
            // As good as a wrong OTP: credential ids are not to be found out by trying.
            return OtpChecker.Miss(scope, budget, Outcome.CredentialUnknown);
        }

        if (otp is null)
        {
            // The lock has ended since it was read.
            return null;
        }

        if (otp.Step is { } step && await IsBoundToAnotherAsync(scope, contractor, otp.Credential))
        {
            // A right OTP is burned even so, or this answer would be a way to find out OTPs that still log in.
            var claim = await TimeStepLedger.ClaimAsync(scope, contractor, otp.Credential, step, binding: null);
            return claim == Claim.OutOfDate
                ? null
                : Verdict.Deny(Outcome.CredentialInUse) with
                {
                    CredentialRef = otp.Credential.Id,
                    TimeStep = claim == Claim.Granted ? step : null,
                };
        }

        var verdict = await OtpChecker.SettleAsync(scope, budget, otp, binding: null);
        if (verdict is { Outcome: Outcome.Accepted })
        {
            // The partial unique indexes have the last word: a rival that bound meanwhile makes this transaction run again.
            scope.Db.Bindings.Add(new Binding
            {
                InstitutionId = contractor.Institution,
                ContractorId = contractor.Contractor,
                CredentialRef = otp.Credential.Id,
                RegisteredAt = scope.Now,
            });
        }

        return verdict;
    }

    private static Task<bool> HasActiveBindingAsync(DecisionScope scope, ContractorRef contractor) =>
        scope.Db.Bindings.AnyAsync(
            b => b.InstitutionId == contractor.Institution && b.ContractorId == contractor.Contractor && b.State == BindingState.Active,
            scope.Stop);

    private static Task<bool> IsBoundToAnotherAsync(DecisionScope scope, ContractorRef contractor, Credential credential) =>
        scope.Db.Bindings.AnyAsync(
            b => b.InstitutionId == contractor.Institution && b.CredentialRef == credential.Id && b.State == BindingState.Active,
            scope.Stop);
}
