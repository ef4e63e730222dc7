using OtpAuthService.Bindings;
using OtpAuthService.Credentials;
using OtpAuthService.Institutions;
using OtpAuthService.Submissions;
using OtpAuthService.Telemetry;

namespace OtpAuthService.Verification;

/// <summary>What every act that takes an OTP does with it: match it beforehand, settle it in the contractor's turn.</summary>
internal sealed class OtpChecker(TimeProvider time)
{
    /// <summary>Matches the OTP over the whole acceptance window. Nothing is decided by that.</summary>
    /// <param name="credential">What the OTP is held against; its key is the result's from now on.</param>
    /// <param name="institution">Whose acceptance window it is.</param>
    /// <param name="otp">The submitted digits.</param>
    public CheckedOtp Check(KeyedCredential credential, Institution institution, Otp otp)
    {
        var window = AcceptanceWindow.Of(credential, institution, time.GetUtcNow());
        using var span = Spans.Start("match")?.SetTag("otp.window", window.Last.Value - window.First.Value + 1);
        if (otp.Length != credential.Digits)
        {
            return new CheckedOtp(credential, FitsCredential: false, window, Step: null, otp);
        }

        var step = TotpMatcher.Match(credential.Key.Bytes, credential.Algorithm, otp, window.First, window.Last);
        return new CheckedOtp(credential, FitsCredential: true, window, step, otp);
    }

    /// <summary>
    /// Matches two OTPs that were shown one right after the other, over the resynchronisation window. The result is about the second of them.
    /// </summary>
    /// <param name="credential">What they are held against; its key is the result's from now on.</param>
    /// <param name="first">The one that was shown first.</param>
    /// <param name="second">The one that was shown right after it.</param>
    public CheckedOtp CheckPair(KeyedCredential credential, Otp first, Otp second)
    {
        var window = AcceptanceWindow.Widest(credential.PeriodSeconds, time.GetUtcNow());
        if (first.Length != credential.Digits || second.Length != credential.Digits)
        {
            return new CheckedOtp(credential, FitsCredential: false, window, Step: null, second);
        }

        var step = TotpMatcher.MatchPair(credential.Key.Bytes, credential.Algorithm, first, second, window.First, window.Last);
        if (step is { } shown)
        {
            // What the credential's clock shows is known now.
            window = new AcceptanceWindow(shown.Plus(-1), shown, shown, (int)(shown.Value - window.Expected.Value));
        }

        return new CheckedOtp(credential, FitsCredential: true, window, step, second);
    }

    /// <summary>
    /// What an OTP of an active binding is expected to come to: accepted, or refused where the replay cache knows its step to be used.
    /// One that did not match is proposed as well, with a step that nobody can claim: it takes the same way, so that the time taken does
    /// not tell a locked contractor whether it would have been right.
    /// </summary>
    public static Proposal? Propose(CheckedOtp otp, Institution institution, DateTimeOffset now)
    {
        if (!otp.FitsCredential || institution.Blocks(otp.Credential.Status) || !institution.Suppliers.AreVerified(otp.Credential.Supplier, now)
            || otp.Learn(otp.Credential.LastTimeStep, otp.Credential.DriftDays) != otp.Credential.DriftSteps)
        {
            return null;
        }

        var accepted = Accept(otp.Credential, otp.Step ?? TimeStep.None, institution.TemporaryLimit);
        return new Proposal(accepted, otp.Credential.Epoch, otp.Credential.Status, otp.DriftDays);
    }

    /// <summary>What is expected where the replay cache knows the step to be used: a refusal that claims and counts nothing.</summary>
    public static Proposal Refuse(Proposal expected, CheckedOtp otp, DateTimeOffset now) => expected with
    {
        Verdict = AlreadyUsed(otp, otp.KnownUsed!.Value, expected.Verdict.AttemptsLeft!.Value, now),
    };

    /// <summary>Settles a checked OTP of an active binding: sees that all is as it was read, then claims or counts.</summary>
    /// <returns>Accepted, or why not; null where something has changed since it was read.</returns>
    /// <exception cref="InvalidRequestException">The OTP has not as many digits as the credential shows; not counted.</exception>
    public static Verdict? Settle(Turn turn, BindingReading binding, CheckedOtp otp) =>
        turn.IsCurrent(binding) ? RefuseIfLocked(turn) ?? Settle(turn, otp) : null;

    /// <summary>Settles a checked OTP: claims its step, which ends the row of wrong ones, or counts the failure. The contractor is not locked.</summary>
    /// <inheritdoc cref="Settle(Turn, BindingReading, CheckedOtp)" path="/returns|/exception"/>
    public static Verdict? Settle(Turn turn, CheckedOtp otp)
    {
        var verdict = Prove(turn, otp);
        if (verdict is not { Outcome: Outcome.Accepted })
        {
            return verdict;
        }

        turn.Contractor.ClearFailures();
        turn.Contractor.EndTemporaryOtp();
        return verdict with { AttemptsLeft = turn.Contractor.AttemptsLeft(turn.Policy.Limits) };
    }

    /// <summary>The same for an OTP that is not the whole proof: a right one does not end the row of wrong ones.</summary>
    /// <inheritdoc cref="Settle(Turn, BindingReading, CheckedOtp)" path="/returns|/exception"/>
    public static Verdict? Prove(Turn turn, CheckedOtp otp)
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

        ThrowIfMisfit(turn, otp, "otp");
        if (otp.Step is not { } step)
        {
            return Miss(turn, NameOutOfSync(turn, otp) ? Outcome.OutOfSync : Outcome.Mismatch) with { CredentialRef = otp.Credential.Id };
        }

        var credential = turn.CurrentOf(otp.Credential);
        var lastUsed = credential.LastTimeStep;
        switch (TimeStepLedger.Claim(turn, otp.Credential, step, otp.KnownUsed))
        {
            case Claim.Granted:
                credential.DriftSteps = otp.Learn(lastUsed, credential.DriftDays);
                credential.DriftDays = otp.DriftDays;
                return Accept(otp.Credential, step, turn.Contractor.AttemptsLeft(turn.Policy.Limits));
            case Claim.AlreadyUsed:
                var fenced = Fence.LastRefused(turn.Fence, credential);
                TimeStep[] used = [lastUsed, otp.KnownUsed ?? TimeStep.None];
                var refused = AlreadyUsed(otp, used.Append(fenced).Max(), turn.Contractor.AttemptsLeft(turn.Policy.Limits), turn.Now);
                // What only the fence refuses was not used by anybody, as far as is known.
                return used.Max() < step && credential.OutOfSyncStep != step ? refused with { Events = [] } : refused;
            case Claim.Unusable:
                return Verdict.Deny(Outcome.CredentialUnusable) with { CredentialRef = otp.Credential.Id };
            case Claim.OutOfDate:
                return null;
            default:
                throw new InvalidOperationException("A claim came to something that is not known.");
        }
    }

    /// <summary>Refuses an OTP that has not as many digits as the credential shows, unless answers tell nothing.</summary>
    /// <exception cref="InvalidRequestException">It has not.</exception>
    public static void ThrowIfMisfit(Turn turn, CheckedOtp? otp, string field)
    {
        if (otp is { FitsCredential: false } && turn.Policy.OutcomeDetail != OutcomeDetail.Generic)
        {
            throw new InvalidRequestException(field, $"must have {otp.Credential.Digits} digits, as this credential shows");
        }
    }

    /// <summary>Counts a failed proof.</summary>
    public static Verdict Miss(Turn turn, Outcome outcome)
    {
        var before = turn.Contractor.LockoutAt(turn.Now, turn.Policy.Limits);
        turn.Contractor.CountFailure(turn.Now, turn.Policy.Limits);
        var lockout = turn.Contractor.LockoutAt(turn.Now, turn.Policy.Limits);
        return Verdict.Deny(outcome) with
        {
            AttemptsLeft = lockout is null ? turn.Contractor.AttemptsLeft(turn.Policy.Limits) : 0,
            RetryAfter = lockout?.Until - turn.Now,
            Events = lockout == before ? [] : [EventKind.Locked],
        };
    }

    /// <summary>The refusal of an act while the contractor is locked: nothing is evaluated or claimed.</summary>
    public static Verdict? RefuseIfLocked(Turn turn) =>
        turn.Contractor.LockoutAt(turn.Now, turn.Policy.Limits) is { } lockout
            ? Verdict.Deny(Outcome.LockedOut) with { AttemptsLeft = 0, RetryAfter = lockout.Until - turn.Now }
            : null;

    /// <summary>
    /// Whether an OTP that does not match is of a step far from now, which says that the credential's clock is off. To be told that is worth something to
    /// somebody who guesses, so the step is never accepted afterwards: a guess that comes to this gains nothing on one that comes to nothing.
    /// </summary>
    private static bool NameOutOfSync(Turn turn, CheckedOtp otp)
    {
        var credential = turn.CurrentOf(otp.Credential);
        if (otp.MatchFar(turn.Now) is not { } far || far <= credential.LastTimeStep)
        {
            return false;
        }

        credential.OutOfSyncStep = far;
        return true;
    }

    private static Verdict Accept(KeyedCredential credential, TimeStep step, int attemptsLeft) =>
        Verdict.Accepted with { CredentialRef = credential.Id, TimeStep = step, AttemptsLeft = attemptsLeft };

    /// <param name="used">
    /// The highest used step, which says when the credential first shows an OTP that is not used: between the submitted one and it are OTPs
    /// that would be refused as well.
    /// </param>
    private static Verdict AlreadyUsed(CheckedOtp otp, TimeStep used, int attemptsLeft, DateTimeOffset now)
    {
        // Where the submitted one is above all used ones, it is the one that was told to be out of sync.
        var last = used > otp.Step ? used : otp.Step!.Value;
        var next = last.Plus(1 - otp.Window.DriftSteps).Start(otp.Credential.PeriodSeconds) - now;
        return Verdict.Deny(Outcome.AlreadyUsed) with
        {
            CredentialRef = otp.Credential.Id,
            AttemptsLeft = attemptsLeft,
            RetryAfter = next > TimeSpan.Zero ? next : null,
            Events = [EventKind.DuplicateUse],
        };
    }
}

/// <summary>An OTP held against a credential, before anything is decided. It holds the credential's key until it is let go of.</summary>
/// <param name="Credential">The credential as it was read.</param>
/// <param name="FitsCredential">False where the number of digits is not the credential's.</param>
/// <param name="Window">The steps it was held against.</param>
/// <param name="Step">The step it belongs to, or null.</param>
/// <param name="Otp">The submitted digits.</param>
internal sealed record CheckedOtp(KeyedCredential Credential, bool FitsCredential, AcceptanceWindow Window, TimeStep? Step, Otp Otp) : IDisposable
{
    /// <summary>
    /// How long a claim of the step is worth remembering. A step ahead of now comes into the window a second time where the database forgets that the
    /// credential's clock is ahead.
    /// </summary>
    public TimeSpan Lifetime => Window.Lifetime(Credential.PeriodSeconds) + TimeSpan.FromSeconds(Math.Max(0, Window.DriftSteps) * Credential.PeriodSeconds);

    /// <summary>The highest step that the replay cache knows to be used; null where it does not know.</summary>
    public TimeStep? KnownUsed { get; set; }

    /// <summary>The replay cache refuses it.</summary>
    public bool IsKnownUsed => KnownUsed >= Step;

    /// <summary>What the credential's <see cref="Credential.DriftDays"/> becomes where the step is claimed.</summary>
    public int DriftDays { get; private set; }

    /// <summary>Works out what it teaches of the credential's clock; nothing where it belongs to no step.</summary>
    /// <param name="lastUsed">The highest claimed time step before.</param>
    /// <param name="days">The credential's <see cref="Credential.DriftDays"/> before.</param>
    /// <returns>What the credential's <see cref="Credential.DriftSteps"/> becomes where the step is claimed.</returns>
    public int Learn(TimeStep lastUsed, int days)
    {
        (var drift, DriftDays) = Step is { } step
            ? Drift.Learn(Window, step, lastUsed, days, Credential.PeriodSeconds)
            : (Credential.DriftSteps, days);
        return drift;
    }

    /// <summary>Notes on the reading, which may be kept for the next OTP, that the step was claimed.</summary>
    public void Note() => (Credential.LastTimeStep, Credential.DriftDays) = (Step!.Value, DriftDays);

    /// <summary>The step it belongs to in the resynchronisation window; null where there is none, or nobody waits for the decision any more.</summary>
    public TimeStep? MatchFar(DateTimeOffset now)
    {
        if (!Credential.Key.TryHold())
        {
            return null;
        }

        using var key = Credential.Key;
        var widest = AcceptanceWindow.Widest(Credential.PeriodSeconds, now);
        return TotpMatcher.Match(key.Bytes, Credential.Algorithm, Otp, widest.First, widest.Last);
    }

    /// <summary>Lets go of the key.</summary>
    public void Dispose() => Credential.Key.Dispose();
}
