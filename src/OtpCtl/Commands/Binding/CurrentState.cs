using OtpAuthService.V1;
using OtpAuthService.Verification;
using V1 = OtpAuthService.V1;

namespace OtpCtl.Commands.Binding;

/// <summary>What the service tells of a contractor now, and what it decides by now.</summary>
/// <param name="Contractor">契約者ID.</param>
/// <param name="Institution">The policy in force.</param>
/// <param name="Binding">Null where nothing is known of the contractor.</param>
/// <param name="Fence">The one in force.</param>
/// <param name="Credentials">Those of the newest binding and of the records, by their IDs.</param>
internal sealed record CurrentState(
    string Contractor,
    GetInstitutionResponse Institution,
    GetBindingResponse? Binding,
    GetFenceResponse Fence,
    IReadOnlyDictionary<string, V1.Credential> Credentials)
{
    public InstitutionPolicy Policy => Institution.Policy;

    public V1.Binding? Newest => Binding?.History.FirstOrDefault();

    public int Failures => Binding?.ConsecutiveFailures ?? 0;

    /// <summary>Steps of the acceptance window to either side of the expected one.</summary>
    public int WindowSteps => Policy.AcceptanceWindow switch
    {
        AcceptanceWindowProfile.Strict => 0,
        AcceptanceWindowProfile.Default => 1,
        var profile => throw new InvalidOperationException($"The acceptance window {profile} is not known."),
    };

    /// <summary>Wrong OTPs before the next lock; 0 while locked.</summary>
    public int AttemptsLeft =>
        Binding?.Lockout is not null ? 0
        : Math.Max(0, (Failures < Policy.TemporaryLimit ? Policy.TemporaryLimit : Policy.HardLimit) - Failures);

    public V1.Credential? CredentialOf(AuditRecord record) => Credentials.GetValueOrDefault(record.CredentialId);

    /// <summary>The newest binding at a moment.</summary>
    public V1.Binding? BindingAt(DateTimeOffset moment) => Binding?.History.FirstOrDefault(binding => binding.RegisteredAt.ToDateTimeOffset() <= moment);

    /// <summary>Whether the policy in force is the one that decided: an older one can no longer be read.</summary>
    public bool IsPolicyOf(AuditRecord record) => record.PolicyVersion == Institution.PolicyVersion;

    /// <summary>How many time steps the claimed one was ahead of the service's clock; null where none was claimed.</summary>
    public int? OffsetSteps(AuditRecord record) => record.HasTimeStep && CredentialOf(record) is { } credential
        ? (int)(record.TimeStep - TimeStep.At(record.DecidedAt.ToDateTimeOffset(), credential.PeriodSeconds).Value)
        : null;

    /// <summary>
    /// How many time steps the claimed one was ahead of the one that was expected; null where none was claimed in an acceptance window, or where what is
    /// known of the credential's clock has changed too much since.
    /// </summary>
    public int? WindowOffset(AuditRecord record) =>
        record.Rpc != "Resynchronize" && OffsetSteps(record) - CredentialOf(record)?.DriftSteps is { } offset && Math.Abs(offset) <= WindowSteps ? offset : null;
}
