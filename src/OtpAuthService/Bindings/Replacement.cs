using OtpAuthService.Credentials;
using OtpAuthService.Submissions;
using OtpAuthService.Verification;

namespace OtpAuthService.Bindings;

/// <summary>
/// Replace (端末変更): another credential takes over, proven by an OTP of each, in one transaction: there is no moment without a binding, and where
/// anything is wrong the current one stays.
/// </summary>
internal sealed class Replacement(BindingDirectory bindings, OtpChecker checker, DecisionLedger ledger)
{
    /// <param name="submission">The request.</param>
    /// <param name="contractor">Whose credential it is.</param>
    /// <param name="currentOtp">Shown by the credential in use.</param>
    /// <param name="newId">The one that takes over.</param>
    /// <param name="newOtp">Shown by the one that takes over.</param>
    /// <param name="cancellation">The caller no longer waits.</param>
    public async Task<Answer> ReplaceAsync(
        Submission submission, ContractorRef contractor, Otp currentOtp, CredentialId newId, Otp newOtp, CancellationToken cancellation)
    {
        foreach (var reading in OnCurrent.Readings)
        {
            var current = await bindings.FindAsync(contractor, reading, cancellation);
            using var check = current.Credential is { } credential ? checker.Check(credential, current.Institution, currentOtp) : null;
            var (_, successor) = await bindings.FindKeyedAsync(contractor.Institution, newId, cancellation);
            using var successorCheck = successor is null ? null : checker.Check(successor, current.Institution, newOtp);
            var pending = new PendingDecision(submission, turn => DecideAsync(turn, current, check, successorCheck), cancellation)
            {
                Otp = check,
                SuccessorOtp = successorCheck,
                Policy = current.Institution,
                Binds = successor?.Id,
            };
            if (await ledger.DecideAsync(pending) is { } answer)
            {
                return answer;
            }
        }

        throw OnCurrent.KeepsChanging();
    }

    private static async ValueTask<Verdict?> DecideAsync(Turn turn, CurrentBinding read, CheckedOtp? current, CheckedOtp? successor)
    {
        if (!turn.IsCurrent(read.Binding))
        {
            return null;
        }

        if (current is null)
        {
            return Verdict.Deny(read.OutcomeWithoutCredential);
        }

        if (OtpChecker.RefuseIfLocked(turn) is { } locked)
        {
            return locked;
        }

        // All that may send the act back to its beginning comes before anything is claimed.
        OtpChecker.ThrowIfMisfit(turn, current, "current_otp");
        OtpChecker.ThrowIfMisfit(turn, successor, "new_otp");
        if (successor is not null && !successor.Credential.IsCurrent(turn.CurrentOf(successor.Credential)))
        {
            return null;
        }

        // Burned from here on, whatever comes: else what is said of the new credential would tell that this OTP is right.
        var proof = OtpChecker.Prove(turn, current);
        if (proof is not { Outcome: Outcome.Accepted })
        {
            return proof;
        }

        if (current.Credential.Id == successor?.Credential.Id)
        {
            return Verdict.Deny(Outcome.AlreadyRegistered) with { CredentialRef = proof.CredentialRef, TimeStep = proof.TimeStep };
        }

        if (await Registration.ProveNewAsync(turn, successor) is not { } verdict)
        {
            return null;
        }

        // The record is about one credential: that an OTP of the current one was used up as well stands beside it.
        verdict = verdict.TimeStep is null
            ? verdict with { CredentialRef = proof.CredentialRef, TimeStep = proof.TimeStep }
            : verdict with { Note = $"time step {proof.TimeStep!.Value.Value} of {turn.Binding!.Credential.CredentialId} used up as well" };
        if (verdict.Outcome != Outcome.Accepted)
        {
            return verdict;
        }

        turn.Binding!.Replace(turn.Now);
        turn.Bind(successor!.Credential);
        return verdict with { Events = [EventKind.Replaced] };
    }
}
