using OtpAuthService.Bindings;
using OtpAuthService.Credentials;
using OtpAuthService.Institutions;
using OtpAuthService.Submissions;

namespace OtpAuthService.Verification;

/// <summary>What every act that takes an OTP does with it: match it beforehand, settle it in the contractor's turn.</summary>
internal sealed class OtpChecker(TimeProvider time)
{
    /// <summary>Matches the OTP over the whole acceptance window. Nothing is decided by that.</summary>
    /// <param name="credential">What the OTP is held against; its key is let go of.</param>
    /// <param name="institution">Whose acceptance window it is.</param>
    /// <param name="otp">The submitted digits.</param>
    public CheckedOtp Check(KeyedCredential credential, Institution institution, Otp otp)
    {
        using var key = credential.Key;
        var window = AcceptanceWindow.Of(credential, institution, time.GetUtcNow());
        if (otp.Length != credential.Digits)
        {
            return new CheckedOtp(credential, FitsCredential: false, window, Step: null);
        }

        var step = TotpMatcher.Match(key.Bytes, credential.Algorithm, otp, window.First, window.Last);
        return new CheckedOtp(credential, FitsCredential: true, window, step);
    }

    /// <summary>
    /// What an OTP of an active binding is expected to come to: accepted, or refused where the replay cache knows its step to be used.
    /// One that did not match is proposed as well, with a step that nobody can claim: it takes the same way, so that the time taken does
    /// not tell a locked contractor whether it would have been right.
    /// </summary>
    public static Proposal? Propose(CheckedOtp otp, Institution institution) =>
        otp.FitsCredential && !institution.Blocks(otp.Credential.Status)
            ? new Proposal(Accept(otp.Credential, otp.Step ?? TimeStep.None, institution.TemporaryLimit), otp.Credential.Epoch, otp.Credential.Status)
            : null;

    /// <summary>What is expected where the replay cache knows the step to be used: a refusal that claims and counts nothing.</summary>
    public static Proposal Refuse(Proposal expected, CheckedOtp otp, DateTimeOffset now) => expected with
    {
        Verdict = AlreadyUsed(otp.Credential, otp.KnownUsed!.Value, expected.Verdict.AttemptsLeft!.Value, now),
    };

    /// <summary>Settles a checked OTP of an active binding: sees that all is as it was read, then claims or counts.</summary>
    /// <returns>Accepted, or why not; null where something has changed since it was read.</returns>
    /// <exception cref="InvalidRequestException">The OTP has not as many digits as the credential shows; not counted.</exception>
    public static Verdict? Settle(Turn turn, BindingReading binding, CheckedOtp otp) =>
        turn.IsCurrent(binding) ? RefuseIfLocked(turn) ?? Settle(turn, otp) : null;

    /// <summary>Settles a checked OTP: claims its step, or counts the failure. The contractor is not locked.</summary>
    /// <inheritdoc cref="Settle(Turn, BindingReading, CheckedOtp)" path="/returns|/exception"/>
    public static Verdict? Settle(Turn turn, CheckedOtp otp)
    {
        if (!otp.Credential.IsCurrent(turn.CurrentOf(otp.Credential)))
        {
            return null;
        }

        if (!otp.FitsCredential && turn.Policy.OutcomeDetail == OutcomeDetail.Generic)
        {
            // To say that this credential shows another number of digits would tell that the contractor has one.
            return Verdict.Deny(Outcome.Mismatch) with { CredentialRef = otp.Credential.Id };
        }

        if (!otp.FitsCredential)
        {
            throw new InvalidRequestException("otp", $"must have {otp.Credential.Digits} digits, as this credential shows");
        }

        if (otp.Step is not { } step)
        {
            return Miss(turn, Outcome.Mismatch) with { CredentialRef = otp.Credential.Id };
        }

        switch (TimeStepLedger.Claim(turn, otp.Credential, step, otp.KnownUsed))
        {
            case Claim.Granted:
                turn.Contractor.ClearFailures();
                return Accept(otp.Credential, step, turn.Contractor.AttemptsLeft(turn.Policy.Limits));
            case Claim.AlreadyUsed:
                var last = turn.CurrentOf(otp.Credential).LastTimeStep;
                return AlreadyUsed(otp.Credential, otp.KnownUsed > last ? otp.KnownUsed.Value : last, turn.Contractor.AttemptsLeft(turn.Policy.Limits), turn.Now);
            case Claim.Unusable:
                return Verdict.Deny(Outcome.CredentialUnusable) with { CredentialRef = otp.Credential.Id };
            case Claim.OutOfDate:
                return null;
            default:
                throw new InvalidOperationException("A claim came to something that is not known.");
        }
    }

    /// <summary>Counts a failed proof.</summary>
    public static Verdict Miss(Turn turn, Outcome outcome)
    {
        turn.Contractor.CountFailure(turn.Now, turn.Policy.Limits);
        var lockout = turn.Contractor.LockoutAt(turn.Now, turn.Policy.Limits);
        return Verdict.Deny(outcome) with
        {
            AttemptsLeft = lockout is null ? turn.Contractor.AttemptsLeft(turn.Policy.Limits) : 0,
            RetryAfter = lockout?.Until - turn.Now,
        };
    }

    /// <summary>The refusal of an act while the contractor is locked: nothing is evaluated or claimed.</summary>
    public static Verdict? RefuseIfLocked(Turn turn) =>
        turn.Contractor.LockoutAt(turn.Now, turn.Policy.Limits) is { } lockout
            ? Verdict.Deny(Outcome.LockedOut) with { AttemptsLeft = 0, RetryAfter = lockout.Until - turn.Now }
            : null;

    private static Verdict Accept(KeyedCredential credential, TimeStep step, int attemptsLeft) =>
        Verdict.Accepted with { CredentialRef = credential.Id, TimeStep = step, AttemptsLeft = attemptsLeft };

    /// <param name="used">
    /// The highest used step, which says when the credential first shows an OTP that is not used: between the submitted one and it are OTPs
    /// that would be refused as well.
    /// </param>
    private static Verdict AlreadyUsed(KeyedCredential credential, TimeStep used, int attemptsLeft, DateTimeOffset now)
    {
        var next = used.Plus(1 - credential.DriftSteps).Start(credential.PeriodSeconds) - now;
        return Verdict.Deny(Outcome.AlreadyUsed) with
        {
            CredentialRef = credential.Id,
            AttemptsLeft = attemptsLeft,
            RetryAfter = next > TimeSpan.Zero ? next : null,
        };
    }
}

/// <summary>An OTP held against a credential, before anything is decided.</summary>
/// <param name="Credential">The credential as it was read.</param>
/// <param name="FitsCredential">False where the number of digits is not the credential's.</param>
/// <param name="Window">The steps it was held against.</param>
/// <param name="Step">The step it belongs to, or null.</param>
internal sealed record CheckedOtp(KeyedCredential Credential, bool FitsCredential, AcceptanceWindow Window, TimeStep? Step)
{
    /// <summary>How long a claim of the step is worth remembering.</summary>
    public TimeSpan Lifetime => Window.Lifetime(Credential.PeriodSeconds);

    /// <summary>The highest step that the replay cache knows to be used; null where it does not know.</summary>
    public TimeStep? KnownUsed { get; set; }

    /// <summary>The replay cache refuses it.</summary>
    public bool IsKnownUsed => KnownUsed >= Step;
}
