using OtpAuthService.Bindings;
using OtpAuthService.Institutions;
using OtpAuthService.Submissions;

namespace OtpAuthService.Verification;

/// <summary>
/// CheckOtp: tells an operator what an OTP that a contractor reads out would come to, whatever state the binding is in. It claims and counts nothing of the
/// contractor's and lets nobody in; wrong ones count against the caller's own budget (<see cref="Callers.FailureTallies"/>).
/// </summary>
internal sealed class OtpCheck(BindingDirectory bindings, InstitutionDirectory institutions, OtpChecker checker, DecisionLedger ledger)
{
    public async Task<Answer> CheckAsync(Submission submission, Otp otp, CancellationToken cancellation)
    {
        var contractor = new ContractorRef(submission.Institution, submission.Contractor!.Value);
        var policy = await institutions.FindAsync(contractor.Institution, cancellation);
        foreach (var _ in OnCurrent.Readings)
        {
            var (binding, credential) = await bindings.FindWithKeyAsync(contractor, cancellation);
            using var check = credential is null ? null : checker.Check(credential, policy, otp);
            var pending = new PendingDecision(
                submission, turn => new(turn.IsCurrent(binding?.Reading) ? Decide(turn, check) : null), cancellation)
            {
                Changes = binding?.CredentialRef,
                Policy = policy,
            };
            if (await ledger.DecideAsync(pending) is { } answer)
            {
                return answer;
            }
        }

        throw OnCurrent.KeepsChanging();
    }

    private static Verdict? Decide(Turn turn, CheckedOtp? otp)
    {
        if (otp is null)
        {
            return Verdict.Deny(Outcome.NotRegistered);
        }

        var credential = turn.CurrentOf(otp.Credential);
        if (!otp.Credential.IsCurrent(credential))
        {
            return null;
        }

        if (!otp.FitsCredential)
        {
            throw new InvalidRequestException("otp", $"must have {otp.Credential.Digits} digits, as this credential shows");
        }

        var step = otp.Step ?? otp.MatchFar(turn.Now);
        var outcome = step is null ? Outcome.Mismatch
            : step <= credential.LastTimeStep || step == credential.OutOfSyncStep ? Outcome.AlreadyUsed
            : otp.Step is null ? Outcome.OutOfSync
            : credential.IsUsableAt(turn.Now, turn.Policy) ? Outcome.Accepted
            : Outcome.CredentialUnusable;
        return Verdict.Deny(outcome) with
        {
            CredentialRef = credential.Id,
            OffsetSteps = step is { } shown ? (int)(shown.Value - TimeStep.At(turn.Now, credential.PeriodSeconds).Value) : null,
        };
    }
}
