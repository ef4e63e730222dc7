using OtpAuthService.Institutions;
using OtpAuthService.Keys;
using OtpAuthService.Verification;

namespace OtpAuthService.Credentials;

/// <summary>One OTP generator: its wrapped key, its parameters, and the highest time step that was ever claimed.</summary>
internal sealed class Credential
{
    public long Id { get; init; }

    public required CredentialId CredentialId { get; init; }

    /// <summary>The key as <see cref="CredentialCipher"/> stores it; never in the clear.</summary>
    public required byte[] WrappedKey { get; set; }

    /// <summary>The data key that opens it; grows when the key is wrapped anew.</summary>
    public required int KeyVersion { get; set; }

    public required Algorithm Algorithm { get; init; }

    /// <summary>6 or 8.</summary>
    public required int Digits { get; init; }

    /// <summary>Seconds a time step lasts: 30 or 60 (RFC 6238 section 4.1, X).</summary>
    public required int PeriodSeconds { get; init; }

    /// <summary>Learned clock offset in time steps, positive where the credential's clock is ahead.</summary>
    public int DriftSteps { get; set; }

    /// <summary>
    /// On how many days with a use, one after the other, the first OTP was not of the expected step: positive where it was of one after it, negative
    /// where before. <see cref="Drift"/> learns from it.
    /// </summary>
    public int DriftDays { get; set; }

    /// <summary>The last time step that was told to be out of sync. Whoever guessed its OTP knows it now, so that it is never accepted.</summary>
    public TimeStep? OutOfSyncStep { get; set; }

    /// <summary>
    /// The highest claimed time step, across all institutions. Only <see cref="TimeStepLedger"/> raises it; it is written on condition
    /// that it is as it was read, and a trigger in the database refuses to lower it.
    /// </summary>
    public TimeStep LastTimeStep { get; private set; } = TimeStep.None;

    /// <summary>
    /// Grows when a decision that was begun on an older reading must not stand (promise P2). The database raises it by triggers, whoever
    /// writes: where an active binding ends, where something is counted against its contractor for the first time, and where drift or status change.
    /// </summary>
    public long Epoch { get; private set; }

    public CredentialStatus Status { get; set; } = CredentialStatus.Active;

    /// <summary>Who made it: this service ("issued") or the supplier of an import.</summary>
    public required string Supplier { get; init; }

    /// <summary>
    /// The institution that it was issued or imported for. Contractors of any may register it; as long as nobody has, that one alone may take it along
    /// (<see cref="CredentialExport"/>). Null for those from before this was kept.
    /// </summary>
    public InstitutionId? SuppliedTo { get; init; }

    public DateTimeOffset? ValidFrom { get; init; }

    public DateTimeOffset? ValidUntil { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    /// <summary>Whether it is within its validity and its supplier's and, for an institution that heeds others' reports, not lost.</summary>
    public bool IsUsableAt(DateTimeOffset now, Institution policy) =>
        !(ValidFrom > now) && !(ValidUntil <= now) && policy.Suppliers.AreVerified(Supplier, now) && !policy.Blocks(Status);

    /// <summary>Takes a time step that is above all that were taken.</summary>
    public void Claim(TimeStep step) => LastTimeStep = step > LastTimeStep
        ? step
        : throw new InvalidOperationException("A used time step was to be claimed again.");
}

/// <summary>Whether a credential may be used. Stored as a number: never renumber.</summary>
internal enum CredentialStatus
{
    /// <summary>Usable within its validity.</summary>
    Active = 1,

    /// <summary>Reported lost by some institution (<see cref="LossReport"/>): there its bindings have ended; the others' policies say what it means to them.</summary>
    Lost = 2,
}
