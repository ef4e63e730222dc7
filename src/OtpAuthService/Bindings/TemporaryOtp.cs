using OtpAuthService.Callers;

namespace OtpAuthService.Bindings;

/// <summary>A temporary OTP as it is stored: what it is made of together with a key that is not in the database, and how long it is taken.</summary>
internal sealed class TemporaryOtp
{
    /// <summary>16 random bytes.</summary>
    public required byte[] Salt { get; init; }

    /// <summary>The submission that had it issued: its retries are told the OTP again.</summary>
    public required Guid IssuedUnder { get; init; }

    /// <summary>The caller that had it issued.</summary>
    public required string IssuedBy { get; init; }

    /// <summary>The person, where the caller named one.</summary>
    public required string? IssuedByOperator { get; init; }

    public required DateTimeOffset ExpiresAt { get; init; }

    /// <summary>How many times it is still taken; 0 once it is used up, or a real OTP has ended it.</summary>
    public required int UsesLeft { get; set; }

    /// <summary>Whether it is refused until a second person has confirmed it.</summary>
    public required bool AwaitsConfirmation { get; set; }

    public bool IsTakenAt(DateTimeOffset now) => UsesLeft > 0 && ExpiresAt > now && !AwaitsConfirmation;

    /// <summary>
    /// Whether it may be the same person as the one who had it issued. A caller that names no person is one; two callers that name the same one are
    /// not two.
    /// </summary>
    public bool MayBeIssuer(Caller caller, string? person) =>
        person is null || IssuedByOperator is null ? caller.Id == IssuedBy : person == IssuedByOperator;
}
