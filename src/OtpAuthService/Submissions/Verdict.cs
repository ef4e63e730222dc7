using OtpAuthService.Verification;

namespace OtpAuthService.Submissions;

/// <summary>What was decided on a submission, before it is on record.</summary>
/// <param name="Outcome">What happened.</param>
/// <param name="Decision">What the caller is to do.</param>
internal sealed record Verdict(Outcome Outcome, Decision Decision)
{
    /// <summary>How long to wait before another try can succeed; null where waiting does not help.</summary>
    public TimeSpan? RetryAfter { get; init; }

    /// <summary>Wrong OTPs left before the next lock; null where the guess budget was not looked at.</summary>
    public int? AttemptsLeft { get; init; }

    /// <summary>The row of the credential it was about.</summary>
    public long? CredentialRef { get; init; }

    /// <summary>The time step that was claimed.</summary>
    public TimeStep? TimeStep { get; init; }

    /// <summary>What the record says besides, where the submission gives no reason of its own.</summary>
    public string? Note { get; init; }

    /// <summary>What a bank tells the contractor of, in its order.</summary>
    public IReadOnlyList<EventKind> Events { get; init; } = [];

    /// <summary>How many credentials an import took in.</summary>
    public int? Imported { get; init; }

    /// <summary>How many time steps the credential's clock is ahead, as a checked OTP shows.</summary>
    public int? OffsetSteps { get; init; }

    /// <summary>The OTP was right and the act was done.</summary>
    public static Verdict Accepted { get; } = new(Outcome.Accepted, Decision.Allow);

    public static Verdict Deny(Outcome outcome) => new(outcome, Decision.Deny);
}

/// <summary>A verdict on record.</summary>
/// <param name="Verdict">What was decided.</param>
/// <param name="DecidedAt">When.</param>
/// <param name="Repeated">True where an earlier delivery of the same submission was decided, and this is its answer.</param>
internal sealed record Answer(Verdict Verdict, DateTimeOffset DecidedAt, bool Repeated);
