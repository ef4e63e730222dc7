using OtpAuthService.Bindings;
using OtpAuthService.Credentials;
using OtpAuthService.Institutions;
using OtpAuthService.Submissions;

namespace OtpAuthService.Verification;

/// <summary>What every act that takes an OTP does with it: match, ask the replay cache, settle in the database, tell the replay cache.</summary>
internal sealed class OtpChecker(KeyWrapping wrapping, IReplayCache replays, TimeProvider time)
{
    /// <summary>
    /// Matches the OTP over the whole acceptance window, and asks whether the step is known to be used. Not while the contractor is locked:
    /// then not even the time taken may tell whether it would have been right.
    /// </summary>
    /// <param name="credential">What the OTP is held against.</param>
    /// <param name="institution">Whose acceptance window it is.</param>
    /// <param name="budget">The contractor's guess budget as it was read; null where nothing was counted yet.</param>
    /// <param name="otp">The submitted digits.</param>
    /// <returns>Null where the contractor is locked.</returns>
    public async Task<CheckedOtp?> CheckAsync(Credential credential, Institution institution, Contractor? budget, Otp otp)
    {
        if (budget?.LockoutAt(time.GetUtcNow()) is not null)
        {
            return null;
        }

        if (otp.Length != credential.Digits)
        {
            return new CheckedOtp(credential, FitsCredential: false, Step: null, KnownUsed: false);
        }

        var step = Match(credential, AcceptanceWindow.Of(credential, institution, time.GetUtcNow()), otp);
        var knownUsed = step is { } matched && await replays.IsUsedAsync(credential, matched);
        return new CheckedOtp(credential, FitsCredential: true, step, knownUsed);
    }

    /// <summary>Settles a checked OTP of an active binding: takes the contractor's turn, sees that all is as it was read, then claims or counts.</summary>
    /// <returns>Accepted, or why not; null where something has changed since it was read.</returns>
    /// <exception cref="InvalidRequestException">The OTP has not as many digits as the credential shows; not counted.</exception>
    public static async Task<Verdict?> SettleAsync(DecisionScope scope, ContractorRef contractor, Binding binding, CheckedOtp? otp)
    {
        var budget = await scope.LockContractorAsync(contractor);
        if (!await scope.IsCurrentAsync(contractor, binding))
        {
            return null;
        }

        return RefuseIfLocked(scope, budget) ?? (otp is null ? null : await SettleAsync(scope, budget, otp, binding.Id));
    }

    /// <summary>
    /// Settles a checked OTP in the transaction of its act: claims its step, or counts the failure. The contractor's turn is held and
    /// the contractor is not locked.
    /// </summary>
    /// <returns>Accepted, or why not; null where binding or credential have changed since they were read.</returns>
    /// <exception cref="InvalidRequestException">The OTP has not as many digits as the credential shows; not counted.</exception>
    public static async Task<Verdict?> SettleAsync(DecisionScope scope, Contractor contractor, CheckedOtp otp, long? binding)
    {
        if (!otp.FitsCredential)
        {
            throw new InvalidRequestException("otp", $"must have {otp.Credential.Digits} digits, as this credential shows");
        }

        if (otp.Step is not { } step)
        {
            return Miss(scope, contractor, Outcome.Mismatch) with { CredentialRef = otp.Credential.Id };
        }

        var claim = otp.KnownUsed
            ? Claim.AlreadyUsed
            : await TimeStepLedger.ClaimAsync(scope, new(contractor.InstitutionId, contractor.ContractorId), otp.Credential, step, binding);
        switch (claim)
        {
            case Claim.Granted:
                contractor.ClearFailures();
                return Verdict.Accepted with { CredentialRef = otp.Credential.Id, TimeStep = step, AttemptsLeft = contractor.AttemptsLeft };
            case Claim.AlreadyUsed:
                var next = await FindNextAsync(scope, otp.Credential, step) - scope.Now;
                return Verdict.Deny(Outcome.AlreadyUsed) with
                {
                    CredentialRef = otp.Credential.Id,
                    AttemptsLeft = contractor.AttemptsLeft,
                    RetryAfter = next > TimeSpan.Zero ? next : null,
                };
            case Claim.Unusable:
                return Verdict.Deny(Outcome.CredentialUnusable) with { CredentialRef = otp.Credential.Id };
            case Claim.OutOfDate:
                return null;
            default:
                throw new InvalidOperationException($"Claim {claim} is not known.");
        }
    }

    /// <summary>
    /// When the credential first shows an OTP that is not used. What counts is the highest claimed step and not the submitted one: in
    /// between the credential shows OTPs that would be refused as well.
    /// </summary>
    private static async Task<DateTimeOffset> FindNextAsync(DecisionScope scope, Credential credential, TimeStep submitted)
    {
        var claimed = await TimeStepLedger.FindLastAsync(scope, credential);
        // The replay cache may know of a later one, where the database has lost commits.
        var used = claimed > submitted ? claimed : submitted;
        return used.Plus(1 - credential.DriftSteps).Start(credential.PeriodSeconds);
    }

    /// <summary>Counts a failed proof.</summary>
    public static Verdict Miss(DecisionScope scope, Contractor contractor, Outcome outcome)
    {
        contractor.CountFailure(scope.Now);
        return Verdict.Deny(outcome) with
        {
            AttemptsLeft = contractor.LockoutAt(scope.Now) is null ? contractor.AttemptsLeft : 0,
            RetryAfter = contractor.LockoutAt(scope.Now)?.Until - scope.Now,
        };
    }

    /// <summary>The refusal of an act while the contractor is locked: nothing is evaluated or claimed.</summary>
    public static Verdict? RefuseIfLocked(DecisionScope scope, Contractor contractor) =>
        contractor.LockoutAt(scope.Now) is { } lockout
            ? Verdict.Deny(Outcome.LockedOut) with { AttemptsLeft = 0, RetryAfter = lockout.Until - scope.Now }
            : null;

    /// <summary>Tells the replay cache what was claimed; after the commit, and not waited for.</summary>
    public void Remember(Answer? answer, CheckedOtp? otp, Institution institution)
    {
        if (answer is { Repeated: false, Verdict.TimeStep: { } step } && otp is not null)
        {
            replays.Remember(otp.Credential, step, AcceptanceWindow.Lifetime(otp.Credential, institution));
        }
    }

    private TimeStep? Match(Credential credential, AcceptanceWindow window, Otp otp)
    {
        using var key = wrapping.Unwrap(credential);
        return TotpMatcher.Match(key.Buffer, credential.Algorithm, otp, window.First, window.Last);
    }
}

/// <summary>An OTP held against a credential, before anything is decided.</summary>
/// <param name="Credential">The credential as it was read.</param>
/// <param name="FitsCredential">False where the number of digits is not the credential's.</param>
/// <param name="Step">The step it belongs to, or null.</param>
/// <param name="KnownUsed">The replay cache says that the step is used.</param>
internal sealed record CheckedOtp(Credential Credential, bool FitsCredential, TimeStep? Step, bool KnownUsed);
