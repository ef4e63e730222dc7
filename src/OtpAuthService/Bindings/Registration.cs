using OtpAuthService.Credentials;
using OtpAuthService.Submissions;
using OtpAuthService.Verification;

namespace OtpAuthService.Bindings;

/// <summary>Register (利用登録): binds a credential to a contractor, proven by a current OTP, which is burned.</summary>
internal sealed class Registration(BindingDirectory bindings, OtpChecker checker, DecisionLedger ledger)
{
    public async Task<Answer> RegisterAsync(
        Submission submission, ContractorRef contractor, CredentialId id, Otp otp, CancellationToken cancellation)
    {
        // Every reading is of the database: a credential is looked up by the id that a customer typed.
        foreach (var _ in OnCurrent.Readings)
        {
            var (institution, credential) = await bindings.FindKeyedAsync(contractor.Institution, id, cancellation);
            using var check = credential is null ? null : checker.Check(credential, institution, otp);
            var pending = new PendingDecision(submission, turn => DecideAsync(turn, check), cancellation) { Otp = check, Policy = institution, Binds = credential?.Id };
            if (await ledger.DecideAsync(pending) is { } answer)
            {
                return answer;
            }
        }

        throw OnCurrent.KeepsChanging();
    }

    /// <param name="turn">The contractor's turn.</param>
    /// <param name="otp">The OTP held against the credential; null where there is no such credential.</param>
    private static async ValueTask<Verdict?> DecideAsync(Turn turn, CheckedOtp? otp)
    {
        if (turn.Binding is { State: BindingState.Active })
        {
            return Verdict.Deny(Outcome.AlreadyRegistered);
        }

        if (turn.Binding is { State: BindingState.Stopped })
        {
            return Verdict.Deny(Outcome.Suspended);
        }

        if (turn.Binding is { State: BindingState.Lost } lost && !lost.IsReregistrationOpenAt(turn.Now))
        {
            // Whoever holds the token could otherwise register it, or another one, in the contractor's name.
            return Verdict.Deny(Outcome.Lost);
        }

        if (OtpChecker.RefuseIfLocked(turn) is { } locked)
        {
            return locked;
        }

        var verdict = await ProveNewAsync(turn, otp);
        if (verdict is { Outcome: Outcome.Accepted })
        {
            turn.Bind(otp!.Credential);
            return verdict with { Events = [EventKind.Registered] };
        }

        return verdict;
    }

    /// <summary>
    /// Settles the OTP of a credential that is to be bound, and whether it may be. The partial unique indexes have the last word: a rival that
    /// binds meanwhile makes the turn run again.
    /// </summary>
    /// <param name="turn">The contractor's turn; not locked.</param>
    /// <param name="otp">The OTP held against the credential; null where there is no such credential.</param>
    public static async ValueTask<Verdict?> ProveNewAsync(Turn turn, CheckedOtp? otp)
    {
        if (otp is null)
        {
            // As good as a wrong OTP: credential ids are not to be found out by trying.
            return OtpChecker.Miss(turn, Outcome.CredentialUnknown);
        }

        if (otp.Credential.Status == CredentialStatus.Lost && await turn.HasReportedLostAsync(otp.Credential))
        {
            // Here it is lost for good, whatever the policy says of others' reports.
            return Verdict.Deny(Outcome.CredentialUnusable) with { CredentialRef = otp.Credential.Id };
        }

        if (otp.Step is { } step && WhyNotToBind(turn, otp.Credential) is { } refused)
        {
            // A right OTP is burned even so, or this answer would be a way to find out OTPs that still log in.
            var claim = TimeStepLedger.Claim(turn, otp.Credential, step, otp.KnownUsed);
            return claim == Claim.OutOfDate
                ? null
                : Verdict.Deny(refused) with
                {
                    CredentialRef = otp.Credential.Id,
                    TimeStep = claim == Claim.Granted ? step : null,
                };
        }

        return OtpChecker.Settle(turn, otp);
    }

    private static Outcome? WhyNotToBind(Turn turn, KeyedCredential credential) =>
        turn.IsBoundToAnother(credential) ? Outcome.CredentialInUse
        : turn.Policy.Suppliers.AreRegistered(credential.Supplier, turn.Now) ? null
        : Outcome.CredentialUnusable;
}
