using OtpAuthService.Bindings;
using OtpAuthService.Institutions;
using OtpAuthService.Submissions;

namespace OtpAuthService.Events;

/// <summary>
/// Something that a bank tells its contractor of, written in the transaction of the decision it comes from: it is there exactly where that one is.
/// Holds no OTP and no key.
/// </summary>
internal sealed class ContractorEvent
{
    /// <summary>How long it is kept for whoever reads events.</summary>
    public static readonly TimeSpan Lifetime = TimeSpan.FromDays(30);

    /// <summary>Its place among all events. Numbers are handed out one after the other, but become visible with their transactions: see <see cref="EventHorizon"/>.</summary>
    public long Id { get; private set; }

    /// <summary>Random, so that a database that was taken back and gives a number once more gives no event the name of another.</summary>
    public required Guid EventId { get; init; }

    public required InstitutionId InstitutionId { get; init; }

    public required ContractorId ContractorId { get; init; }

    public required EventKind Kind { get; init; }

    public required DateTimeOffset OccurredAt { get; init; }

    /// <summary>The row of the credential, where it is about one.</summary>
    public required long? CredentialRef { get; init; }

    /// <summary>The act, as the proto names the RPC.</summary>
    public required string Rpc { get; init; }

    public required string RequestId { get; init; }

    /// <summary>Of a lock that ends by itself: when.</summary>
    public required DateTimeOffset? LockedUntil { get; init; }

    public EventPosition Position => new(Id, EventId);

    /// <summary>All events of a verdict, in their order.</summary>
    public static IEnumerable<ContractorEvent> Of(Submission submission, Verdict verdict, DateTimeOffset now) => verdict.Events.Select(kind => new ContractorEvent
    {
        EventId = Guid.NewGuid(),
        InstitutionId = submission.Institution,
        ContractorId = submission.Contractor ?? throw new InvalidOperationException($"{submission.Rpc} tells of a contractor, but is about none."),
        Kind = kind,
        OccurredAt = now,
        CredentialRef = verdict.CredentialRef,
        Rpc = submission.Rpc,
        RequestId = submission.RequestId,
        LockedUntil = kind == EventKind.Locked ? now + verdict.RetryAfter : null,
    });
}
