using OtpAuthService.Keys;
using OtpAuthService.Verification;

namespace OtpAuthService.Credentials;

/// <summary>A credential as it was read, with its key in the clear: all that a match needs, and what tells whether the reading is still right.</summary>
/// <param name="Id">Its row.</param>
/// <param name="Epoch">Its epoch when it was read.</param>
/// <param name="Key">Its key, until it was held against an OTP: then whoever asked for it has let go of it.</param>
/// <param name="Algorithm">Of the HMAC.</param>
/// <param name="Digits">6 or 8.</param>
/// <param name="PeriodSeconds">Seconds a time step lasts.</param>
/// <param name="DriftSteps">Learned clock offset in time steps.</param>
/// <param name="Status">Whether some institution has reported it lost.</param>
/// <param name="Supplier">Who made it; one string for all of them.</param>
internal sealed record KeyedCredential(
    long Id, long Epoch, PinnedKey Key, Algorithm Algorithm, int Digits, int PeriodSeconds, int DriftSteps, CredentialStatus Status, string Supplier)
{
    /// <summary>The highest claimed time step that this replica knows of; where a reading is kept, later ones are noted here. For what is learned of drift alone.</summary>
    public TimeStep LastTimeStep { get; set; } = TimeStep.None;

    /// <summary>As <see cref="Credential.DriftDays"/> was by then.</summary>
    public int DriftDays { get; set; }

    /// <summary>What the replay cache calls it; kept here because it is computed once.</summary>
    public byte[]? ReplayMember { get; set; }

    /// <summary>Whether a match against this reading is one against the credential as it is now.</summary>
    public bool IsCurrent(Credential now) => now.Id == Id && now.Epoch == Epoch && now.DriftSteps == DriftSteps && now.Status == Status;
}

/// <summary>A credential as it was read, with its key as it is stored: what <see cref="KeyWrapping.OpenAsync"/> makes a <see cref="KeyedCredential"/> of.</summary>
internal readonly record struct WrappedCredential(
    long Id,
    long Epoch,
    CredentialId CredentialId,
    byte[] WrappedKey,
    int KeyVersion,
    Algorithm Algorithm,
    int Digits,
    int PeriodSeconds,
    int DriftSteps,
    CredentialStatus Status,
    string Supplier,
    TimeStep LastTimeStep,
    int DriftDays)
{
    public static WrappedCredential Of(Credential credential) => new(
        credential.Id,
        credential.Epoch,
        credential.CredentialId,
        credential.WrappedKey,
        credential.KeyVersion,
        credential.Algorithm,
        credential.Digits,
        credential.PeriodSeconds,
        credential.DriftSteps,
        credential.Status,
        credential.Supplier,
        credential.LastTimeStep,
        credential.DriftDays);
}
