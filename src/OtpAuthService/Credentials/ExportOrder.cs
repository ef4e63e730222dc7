using OtpAuthService.Callers;
using OtpAuthService.Institutions;

namespace OtpAuthService.Credentials;

/// <summary>An export of credentials with their keys: requested by one person, confirmed by another, fetched once by the first. Kept as history.</summary>
internal sealed class ExportOrder
{
    /// <summary>How long it can be confirmed and fetched.</summary>
    public static readonly TimeSpan Lifetime = TimeSpan.FromHours(24);

    public required Guid Id { get; init; }

    public required InstitutionId InstitutionId { get; init; }

    public required ExportScope Scope { get; init; }

    /// <summary>Only of this supplier; null: of all.</summary>
    public required string? Supplier { get; init; }

    public required string RequestedBy { get; init; }

    public required string? RequestedByOperator { get; init; }

    public required string Reason { get; init; }

    public required DateTimeOffset RequestedAt { get; init; }

    public DateTimeOffset? ConfirmedAt { get; private set; }

    public string? ConfirmedBy { get; private set; }

    public string? ConfirmedByOperator { get; private set; }

    public DateTimeOffset? FetchedAt { get; private set; }

    public Actor Requester => new(RequestedBy, RequestedByOperator);

    public bool HasExpiredAt(DateTimeOffset now) => RequestedAt + Lifetime <= now;

    public void Confirm(Actor by, DateTimeOffset now) => (ConfirmedBy, ConfirmedByOperator, ConfirmedAt) = (by.CallerId, by.Person, now);

    public void Fetch(DateTimeOffset now) => FetchedAt = now;
}
