using OtpAuthService.Credentials;

namespace OtpAuthService.Verification;

/// <summary>
/// Remembers used time steps in front of the database. It may say "used", which is a refusal, or nothing; it never lets a step
/// through by itself. Losing all it knows changes nothing but speed.
/// </summary>
internal interface IReplayCache
{
    /// <summary>True while it is left out and the database decides alone.</summary>
    bool IsDegraded { get; }

    /// <returns>True where <paramref name="step"/> or a later one is known to be used; false where it is not known.</returns>
    ValueTask<bool> IsUsedAsync(Credential credential, TimeStep step);

    /// <summary>Tells what was claimed, after its commit; best effort, never fails.</summary>
    /// <param name="lifetime">How long an OTP of the step could still be submitted within the window.</param>
    void Remember(Credential credential, TimeStep step, TimeSpan lifetime);
}
