using OtpAuthService.Bindings;
using OtpAuthService.Credentials;
using OtpAuthService.Submissions;
using OtpAuthService.Telemetry;

namespace OtpAuthService.Verification;

/// <summary>Verify: decides on one OTP for one purpose. The order of its steps, and why: README.md beside this file.</summary>
internal sealed class OtpVerifier(BindingDirectory bindings, OtpChecker checker, Bypass bypass, DecisionLedger ledger, SecurityEvents events, TimeProvider time)
{
    /// <param name="submission">The request.</param>
    /// <param name="contractor">Whose OTP it is.</param>
    /// <param name="otp">Null only for a caller that is answered without one.</param>
    /// <param name="cancellation">The caller no longer waits.</param>
    public async Task<Answer> VerifyAsync(Submission submission, ContractorRef contractor, Otp? otp, CancellationToken cancellation)
    {
        if (otp is not { } submitted)
        {
            return await bypass.AnswerAsync(submission, cancellation);
        }

        foreach (var reading in OnCurrent.Readings)
        {
            var current = await bindings.FindAsync(contractor, reading, cancellation);
            using var check = current.Credential is { } credential ? checker.Check(credential, current.Institution, submitted) : null;
            if (await ledger.DecideAsync(Pending(submission, current, check, cancellation)) is { } answer)
            {
                if (answer.Verdict.Outcome is Outcome.Mismatch or Outcome.OutOfSync)
                {
                    // What was counted has begun an epoch: the next act need not find that out.
                    bindings.Forget(contractor);
                }

                if (current.Credential is { Status: CredentialStatus.Lost })
                {
                    // Somebody holds a token that its owner has reported lost at another bank.
                    events.Raise("LOST_CREDENTIAL_USED", submission.Caller.Id, submission.Rpc);
                }

                return answer;
            }
        }

        throw OnCurrent.KeepsChanging();
    }

    private PendingDecision Pending(Submission submission, CurrentBinding current, CheckedOtp? otp, CancellationToken cancellation) =>
        current.Binding?.State switch
        {
            null => Without(submission, current, Outcome.NotRegistered, cancellation),
            BindingState.Suspended => Without(submission, current, Outcome.Suspended, cancellation),
            BindingState.Lost => Without(submission, current, Outcome.Lost, cancellation),
            BindingState.Active => With(submission, current, otp!, cancellation),
            var state => throw new InvalidOperationException($"Binding state {state} is not known."),
        };

    private PendingDecision With(Submission submission, CurrentBinding current, CheckedOtp otp, CancellationToken cancellation)
    {
        var binding = current.Binding!.Value;
        return new PendingDecision(submission, turn => new(OtpChecker.Settle(turn, binding, otp)), cancellation)
        {
            Otp = otp,
            Policy = current.Institution,
            Proposal = current.FailuresCounted ? null : OtpChecker.Propose(otp, current.Institution, time.GetUtcNow()),
        };
    }

    private static PendingDecision Without(Submission submission, CurrentBinding current, Outcome outcome, CancellationToken cancellation)
    {
        var verdict = new Verdict(outcome, current.Institution.DecideWithoutCredential(outcome, submission.Purpose));
        return new PendingDecision(submission, turn => new(turn.IsCurrent(current.Binding) ? verdict : null), cancellation) { Policy = current.Institution };
    }
}
