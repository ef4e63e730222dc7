using OtpAuthService.Institutions;

namespace OtpAuthService.Credentials;

/// <summary>That an institution has reported a credential lost. It is never taken back: a token that was in other hands is not believed again there.</summary>
internal sealed class LossReport
{
    /// <summary>The row of the credential.</summary>
    public required long CredentialRef { get; init; }

    public required InstitutionId InstitutionId { get; init; }

    public required LossKind Kind { get; init; }

    public required DateTimeOffset ReportedAt { get; init; }
}
