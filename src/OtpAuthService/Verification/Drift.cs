using OtpAuthService.Credentials;

namespace OtpAuthService.Verification;

/// <summary>
/// How far a credential's clock is off, in time steps, and how that is learned from accepted OTPs (RFC 6238 section 6). Slowly: it takes OTPs off to the
/// same side on three days with a use, one after the other, and then it moves by one step a day. So neither a customer who types late nor somebody who
/// holds an old OTP moves the acceptance window, and a clock that loses or gains a second a day is followed.
/// </summary>
internal static class Drift
{
    /// <summary>Beyond that no clock is believed, by whatever way it is learned.</summary>
    public static readonly TimeSpan Max = TimeSpan.FromMinutes(60);

    private const int DaysToLearn = 3;

    /// <summary>What is not confirmed by use fades: a clock may have been set right meanwhile.</summary>
    private static readonly TimeSpan Fading = TimeSpan.FromDays(30);

    /// <summary><see cref="Max"/> in time steps.</summary>
    public static int MaxSteps(int periodSeconds) => (int)(Max.TotalSeconds / periodSeconds);

    /// <summary>The offset to be expected at a moment: the learned one, less a step for each 30 days since the credential's last use.</summary>
    /// <param name="learned">As stored, in time steps.</param>
    /// <param name="lastUsed">The highest claimed time step.</param>
    /// <param name="current">The time step of the moment.</param>
    /// <param name="periodSeconds">Seconds a time step lasts.</param>
    public static int Expected(int learned, TimeStep lastUsed, TimeStep current, int periodSeconds)
    {
        if (learned == 0 || lastUsed == TimeStep.None)
        {
            return learned;
        }

        var idle = TimeSpan.FromSeconds(Math.Max(0, current.Value - lastUsed.Value) * periodSeconds);
        var faded = (int)Math.Min(Math.Abs(learned), idle / Fading);
        return learned - (Math.Sign(learned) * faded);
    }

    /// <summary>What an accepted OTP teaches.</summary>
    /// <param name="window">What the OTP was held against.</param>
    /// <param name="step">The step it belongs to.</param>
    /// <param name="lastUsed">The highest claimed time step before.</param>
    /// <param name="days">The credential's <see cref="Credential.DriftDays"/> before.</param>
    /// <param name="periodSeconds">Seconds a time step lasts.</param>
    /// <returns>The credential's <see cref="Credential.DriftSteps"/> and <see cref="Credential.DriftDays"/> from now on.</returns>
    public static (int Steps, int Days) Learn(AcceptanceWindow window, TimeStep step, TimeStep lastUsed, int days, int periodSeconds)
    {
        var side = step.CompareTo(window.Expected);
        if (side == 0)
        {
            return (window.DriftSteps, 0);
        }

        var again = Math.Sign(days) == side;
        if (again && DayOf(step) == DayOf(lastUsed))
        {
            return (window.DriftSteps, days);
        }

        days = again ? days + side : side;
        if (Math.Abs(days) < DaysToLearn)
        {
            return (window.DriftSteps, days);
        }

        // One day less, so that it moves on tomorrow where one step was not enough.
        var most = MaxSteps(periodSeconds);
        return (Math.Clamp(window.DriftSteps + side, -most, most), days - side);

        long DayOf(TimeStep any) => any.Value * periodSeconds / 86_400;
    }
}
