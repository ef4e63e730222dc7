using System.Security.Cryptography;

namespace OtpAuthService.Submissions;

/// <summary>The answer of a submission, kept so that a retry gets it again. The primary key is what lets only one delivery decide.</summary>
internal sealed class StoredAnswer
{
    /// <summary>How long a retry gets the first answer; after that the request id is free again.</summary>
    public static readonly TimeSpan Lifetime = TimeSpan.FromSeconds(120);

    /// <summary>The submission's.</summary>
    public required Guid Key { get; init; }

    public required byte[] Fingerprint { get; init; }

    public required Outcome Outcome { get; init; }

    public required Decision Decision { get; init; }

    public required TimeSpan? RetryAfter { get; init; }

    public required int? AttemptsLeft { get; init; }

    public required long? CredentialRef { get; init; }

    public required int? Imported { get; init; }

    public required int? OffsetSteps { get; init; }

    public required DateTimeOffset DecidedAt { get; init; }

    public static StoredAnswer Of(Submission submission, Verdict verdict, DateTimeOffset now) => new()
    {
        Key = submission.Key,
        Fingerprint = submission.Fingerprint,
        Outcome = verdict.Outcome,
        Decision = verdict.Decision,
        RetryAfter = verdict.RetryAfter,
        AttemptsLeft = verdict.AttemptsLeft,
        CredentialRef = verdict.CredentialRef,
        Imported = verdict.Imported,
        OffsetSteps = verdict.OffsetSteps,
        DecidedAt = now,
    };

    /// <summary>The answer again, for a delivery that must be of the same content.</summary>
    /// <exception cref="InvalidRequestException">It is of other content.</exception>
    public Answer RepeatFor(byte[] fingerprint) => CryptographicOperations.FixedTimeEquals(Fingerprint, fingerprint)
        ? Repeat()
        : throw new InvalidRequestException("request_id", "was used for another request within the last 120 s; each submission takes a new one");

    private Answer Repeat() => new(
        new Verdict(Outcome, Decision)
        {
            RetryAfter = RetryAfter,
            AttemptsLeft = AttemptsLeft,
            CredentialRef = CredentialRef,
            Imported = Imported,
            OffsetSteps = OffsetSteps,
        },
        DecidedAt,
        Repeated: true);
}
