using OtpAuthService.Bindings;
using OtpAuthService.Callers;
using OtpAuthService.Institutions;
using OtpAuthService.Submissions;

namespace OtpAuthService.Verification;

/// <summary>
/// Verify without an OTP, for the mobile-IB gateway (promise P6). What gives the right is the caller's grant; the institution's kill switch and
/// the contractor's own word take it away.
/// </summary>
internal sealed class Bypass(InstitutionDirectory institutions, DecisionLedger ledger, CallRates rates, TimeProvider time)
{
    /// <exception cref="BypassRefusedException">The caller has no grant that holds, or the institution has stopped bypasses.</exception>
    /// <exception cref="RateExceededException">The grant's bypasses of this minute are used up.</exception>
    public async Task<Answer> AnswerAsync(Submission submission, CancellationToken cancellation)
    {
        var grant = await FindGrantAsync(submission.Caller, submission.Institution, cancellation);
        rates.CountBypass(submission.Caller, submission.Institution, grant);
        var policy = await institutions.FindAsync(submission.Institution, cancellation);
        return (await ledger.DecideAsync(new PendingDecision(submission, turn => new(Decide(turn, grant)), cancellation) { Policy = policy }))!;
    }

    /// <summary>The grant that holds now.</summary>
    /// <exception cref="BypassRefusedException">There is none.</exception>
    public async ValueTask<BypassGrant> FindGrantAsync(Caller caller, InstitutionId id, CancellationToken cancellation)
    {
        var institution = await institutions.FindAsync(id, cancellation);
        if (institution.BypassStoppedAt is not null)
        {
            throw new BypassRefusedException(BypassRefusal.Stopped);
        }

        if (institution.NeedsOtp(Channel.FeaturePhone))
        {
            throw new BypassRefusedException(BypassRefusal.NotAllowed);
        }

        return caller.Bypasses.TryGetValue(id, out var grant) && grant.HoldsAt(time.GetUtcNow())
            ? grant
            : throw new BypassRefusedException(BypassRefusal.NotGranted);
    }

    private static Verdict Decide(Turn turn, BypassGrant grant)
    {
        if (turn.Binding is { State: BindingState.Stopped })
        {
            return Verdict.Deny(Outcome.Suspended);
        }

        if (turn.Contractor.NeverBypassed)
        {
            return Verdict.Deny(Outcome.BypassRefused);
        }

        return turn.Contractor.CountBypass(turn.Now, grant.PerContractorPerHour) is { } wait
            ? Verdict.Deny(Outcome.BypassRefused) with { RetryAfter = wait }
            : new Verdict(Outcome.Bypassed, Decision.Allow) { Events = [EventKind.Bypassed] };
    }
}

/// <summary>Why nobody is bypassed for a caller.</summary>
internal enum BypassRefusal
{
    /// <summary>The caller has no grant for the institution, or it has ended or not begun.</summary>
    NotGranted,

    /// <summary>The institution's policy asks for an OTP on feature phones too.</summary>
    NotAllowed,

    /// <summary>The institution's operators have stopped all bypasses.</summary>
    Stopped,
}

/// <summary>The caller is not answered without an OTP. Nothing was decided.</summary>
internal sealed class BypassRefusedException(BypassRefusal refusal) : Exception($"The bypass is refused: {refusal}.")
{
    public BypassRefusal Refusal => refusal;
}
