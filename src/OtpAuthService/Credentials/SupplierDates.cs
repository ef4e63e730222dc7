using OtpAuthService.Institutions;

namespace OtpAuthService.Credentials;

/// <summary>
/// Until when a supplier's credentials are taken at an institution, as one of its operators set it. Rows are kept as history; the newest one of a supplier
/// and an institution is in force.
/// </summary>
internal sealed class SupplierDates
{
    public long Id { get; init; }

    /// <summary>Where they hold. Null: at every institution, as the version before this sets them while a release is rolled out.</summary>
    public required InstitutionId? InstitutionId { get; init; }

    public required string Supplier { get; init; }

    /// <summary>From then on its credentials cannot be registered anew; null: without end.</summary>
    public DateTimeOffset? NoRegistrationFrom { get; init; }

    /// <summary>From then on OTPs of its credentials are refused; null: without end.</summary>
    public DateTimeOffset? VerifyUntil { get; init; }

    public required string CallerId { get; init; }

    public string? OperatorId { get; init; }

    public required string Reason { get; init; }

    public required DateTimeOffset SetAt { get; init; }
}
