using OtpAuthService.Institutions;

namespace OtpAuthService.Bindings;

/// <summary>
/// The guess budget of a contractor: wrong OTPs in a row, and the lock they have caused (promise P5). It belongs to the contractor
/// and not to one binding row, so that neither stopping nor registering again gives an attacker a fresh budget, and so that wrong
/// OTPs of a Register have a place to be counted before any binding exists.
/// </summary>
internal sealed class Contractor
{
    public required InstitutionId InstitutionId { get; init; }

    public required ContractorId ContractorId { get; init; }

    /// <summary>Wrong OTPs since the last right one.</summary>
    public int ConsecutiveFailures { get; private set; }

    /// <summary>End of the temporary lock; in the past or null where there is none.</summary>
    public DateTimeOffset? LockedUntil { get; private set; }

    /// <summary>Whether the contractor is never to be answered without an OTP, by own wish.</summary>
    public bool NeverBypassed { get; set; }

    /// <summary>When the hour began whose bypasses are counted.</summary>
    public DateTimeOffset? BypassHour { get; private set; }

    /// <summary>Bypasses of that hour.</summary>
    public int BypassesInHour { get; private set; }

    /// <summary>The temporary OTP that was issued last; null where none was.</summary>
    public TemporaryOtp? TemporaryOtp { get; set; }

    /// <summary>Wrong OTPs left before the next lock.</summary>
    public int AttemptsLeft(GuessLimits limits)
    {
        // Where the limits have become stricter than what is counted already, the next one locks.
        var next = LockedUntil is null ? Math.Max(limits.Temporary, ConsecutiveFailures + 1) : limits.Hard;
        return Math.Max(0, Math.Min(next, limits.Hard) - ConsecutiveFailures);
    }

    /// <summary>The lock in force at <paramref name="now"/>, or null.</summary>
    public Lockout? LockoutAt(DateTimeOffset now, GuessLimits limits)
    {
        if (ConsecutiveFailures >= limits.Hard)
        {
            return new Lockout(null);
        }

        return LockedUntil > now ? new Lockout(LockedUntil) : null;
    }

    /// <summary>Counts one wrong OTP, which must not be called while locked: a locked contractor's OTP is not evaluated.</summary>
    public void CountFailure(DateTimeOffset now, GuessLimits limits)
    {
        ConsecutiveFailures++;
        if (ConsecutiveFailures >= limits.Temporary && LockedUntil is null)
        {
            LockedUntil = now + limits.Lock;
        }
    }

    /// <summary>Counts a bypass.</summary>
    /// <param name="now">The moment of it.</param>
    /// <param name="perHour">How many there may be.</param>
    /// <returns>Null where it is one of them; else how long to wait.</returns>
    public TimeSpan? CountBypass(DateTimeOffset now, int perHour)
    {
        // Also where the clock has stepped back, or it would stay in the hour for longer.
        if (!(BypassHour <= now && now < BypassHour + TimeSpan.FromHours(1)))
        {
            BypassHour = now;
            BypassesInHour = 0;
        }

        if (BypassesInHour >= perHour)
        {
            return BypassHour + TimeSpan.FromHours(1) - now;
        }

        BypassesInHour++;
        return null;
    }

    /// <summary>A right OTP, or an operator, ends the row of wrong ones.</summary>
    public void ClearFailures()
    {
        ConsecutiveFailures = 0;
        LockedUntil = null;
    }

    /// <summary>Whoever has the credential again needs the temporary OTP no more.</summary>
    public void EndTemporaryOtp() => TemporaryOtp?.UsesLeft = 0;
}

/// <summary>A lock in force.</summary>
/// <param name="Until">When it ends by itself; null where only an operator ends it.</param>
internal readonly record struct Lockout(DateTimeOffset? Until);
