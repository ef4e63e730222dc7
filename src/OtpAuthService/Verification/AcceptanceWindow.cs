using OtpAuthService.Credentials;
using OtpAuthService.Institutions;

namespace OtpAuthService.Verification;

/// <summary>The time steps whose OTPs are accepted now: those around the step that the credential's clock should show.</summary>
internal readonly record struct AcceptanceWindow(TimeStep First, TimeStep Last)
{
    public static AcceptanceWindow Of(KeyedCredential credential, Institution institution, DateTimeOffset now)
    {
        var expected = TimeStep.At(now, credential.PeriodSeconds).Plus(credential.DriftSteps);
        return new AcceptanceWindow(expected.Plus(-institution.LookBackSteps), expected.Plus(institution.LookAheadSteps));
    }

    /// <summary>
    /// How long an OTP of a step can be submitted at most, from when it is first the last of the window until it was the first of it, and one
    /// period more for replicas whose clocks differ.
    /// </summary>
    public TimeSpan Lifetime(int periodSeconds) => TimeSpan.FromSeconds((Last.Value - First.Value + 2) * periodSeconds);
}
