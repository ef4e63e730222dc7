using OtpAuthService.Bindings;
using OtpAuthService.Credentials;
using OtpAuthService.Submissions;
using OtpAuthService.Telemetry;

namespace OtpAuthService.Verification;

/// <summary>Verify: decides on one OTP for one purpose. The order of its steps, and why: README.md beside this file.</summary>
internal sealed class OtpVerifier(
    BindingDirectory bindings,
    OtpChecker checker,
    TemporaryOtps temporaryOtps,
    Bypass bypass,
    DecisionLedger ledger,
    SecurityEvents events,
    TimeProvider time)
{
    /// <summary>What the record of a refusal says where the lost token has come up again.</summary>
    public const string LostTokenNote = "right OTP of the lost credential";

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
            using var check = await CheckAsync(current, submitted, cancellation);
            if (await ledger.DecideAsync(Pending(submission, current, submitted, check, cancellation)) is { } answer)
            {
                if (answer.Verdict.Outcome is Outcome.Mismatch or Outcome.OutOfSync)
                {
                    // What was counted has begun an epoch: the next act need not find that out.
                    bindings.Forget(contractor);
                }

                if (check is { Credential.Status: CredentialStatus.Lost } && (current.Former is null || check.Step is not null))
                {
                    // Somebody holds a token that its owner has reported lost, here or at another bank.
                    events.Raise("LOST_CREDENTIAL_USED", submission.Caller.Id, submission.Rpc);
                }

                return answer;
            }
        }

        throw OnCurrent.KeepsChanging();
    }

    private async ValueTask<CheckedOtp?> CheckAsync(CurrentBinding current, Otp submitted, CancellationToken cancellation)
    {
        // A lost one is never accepted: it is looked at to see whether the token has come up again.
        var credential = current is { Binding.State: BindingState.Lost, Former: { } lost } ? await bindings.OpenAsync(lost, cancellation) : current.Credential;
        return credential is null ? null : checker.Check(credential, current.Institution, submitted);
    }

    private PendingDecision Pending(
        Submission submission, CurrentBinding current, Otp submitted, CheckedOtp? check, CancellationToken cancellation) =>
        current.Binding?.State switch
        {
            null => Without(submission, current, Outcome.NotRegistered, cancellation),
            BindingState.Suspended => Without(submission, current, Outcome.Suspended, cancellation),
            BindingState.Stopped => UnlessChanged(submission, current, _ => Verdict.Deny(Outcome.Suspended), cancellation),
            BindingState.Lost => UnlessChanged(submission, current, turn => DecideLost(turn, submitted, check!), cancellation),
            BindingState.Active => With(submission, current, submitted, check!, cancellation),
            var state => throw new InvalidOperationException($"Binding state {state} is not known."),
        };

    private PendingDecision With(
        Submission submission, CurrentBinding current, Otp submitted, CheckedOtp otp, CancellationToken cancellation)
    {
        var binding = current.Binding!.Value;
        return new PendingDecision(submission, turn => new(Decide(turn, binding, submitted, otp)), cancellation)
        {
            Otp = otp,
            Policy = current.Institution,
            Proposal = current.FailuresCounted ? null : OtpChecker.Propose(otp, current.Institution, time.GetUtcNow()),
        };
    }

    private Verdict? Decide(Turn turn, BindingReading binding, Otp submitted, CheckedOtp otp) =>
        turn.IsCurrent(binding) && temporaryOtps.Settle(turn, submitted, isLastWord: !otp.FitsCredential) is { } verdict
            ? verdict
            : OtpChecker.Settle(turn, binding, otp);

    private Verdict DecideLost(Turn turn, Otp submitted, CheckedOtp lost)
    {
        var refused = Verdict.Deny(Outcome.Lost);
        return temporaryOtps.Settle(turn, submitted, isLastWord: true)
            ?? (lost.Step is null ? refused : refused with { CredentialRef = lost.Credential.Id, Note = LostTokenNote });
    }

    private static PendingDecision Without(Submission submission, CurrentBinding current, Outcome outcome, CancellationToken cancellation)
    {
        var verdict = new Verdict(outcome, current.Institution.DecideWithoutCredential(outcome, submission.Purpose));
        return UnlessChanged(submission, current, _ => verdict, cancellation);
    }

    /// <summary>What is decided unless the binding has changed since it was read.</summary>
    private static PendingDecision UnlessChanged(
        Submission submission, CurrentBinding current, Func<Turn, Verdict> decide, CancellationToken cancellation) =>
        new(submission, turn => new(turn.IsCurrent(current.Binding) ? decide(turn) : null), cancellation) { Policy = current.Institution };
}
