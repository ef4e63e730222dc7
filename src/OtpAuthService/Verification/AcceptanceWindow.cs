using OtpAuthService.Credentials;
using OtpAuthService.Institutions;

namespace OtpAuthService.Verification;

/// <summary>The time steps whose OTPs are accepted now: those around the step that the credential's clock should show.</summary>
/// <param name="First">The earliest.</param>
/// <param name="Expected">The one that the credential's clock should show.</param>
/// <param name="Last">The latest.</param>
/// <param name="DriftSteps">How far the expected one is from the service's own clock.</param>
internal readonly record struct AcceptanceWindow(TimeStep First, TimeStep Expected, TimeStep Last, int DriftSteps)
{
    public static AcceptanceWindow Of(KeyedCredential credential, Institution institution, DateTimeOffset now)
    {
        var current = TimeStep.At(now, credential.PeriodSeconds);
        var drift = Drift.Expected(credential.DriftSteps, credential.LastTimeStep, current, credential.PeriodSeconds);
        var expected = current.Plus(drift);
        return new AcceptanceWindow(expected.Plus(-institution.LookBackSteps), expected, expected.Plus(institution.LookAheadSteps), drift);
    }

    /// <summary>
    /// The resynchronisation window: whatever a clock may show that is off by <see cref="Drift.Max"/> at most, whatever was learned of it before. No OTP
    /// is accepted for being in it alone.
    /// </summary>
    public static AcceptanceWindow Widest(int periodSeconds, DateTimeOffset now)
    {
        var current = TimeStep.At(now, periodSeconds);
        var most = Drift.MaxSteps(periodSeconds);
        return new AcceptanceWindow(current.Plus(-most), current, current.Plus(most), DriftSteps: 0);
    }

    /// <summary>
    /// How long an OTP of a step can be submitted at most, from when it is first the last of the window until it was the first of it, and one
    /// period more for replicas whose clocks differ.
    /// </summary>
    public TimeSpan Lifetime(int periodSeconds) => TimeSpan.FromSeconds((Last.Value - First.Value + 2) * periodSeconds);
}
