using Google.Protobuf.WellKnownTypes;

namespace OtpAuthService.V1;

/// <summary>What every answer of a deciding RPC of <c>OtpAuth</c> has, so that a front end can handle them alike.</summary>
public interface IOtpAnswer
{
    /// <summary>What was decided.</summary>
    Outcome Outcome { get; set; }

    /// <summary>What to do; follow it whatever the outcome.</summary>
    Decision Decision { get; set; }

    /// <summary>How long to wait before another try can succeed; null where waiting does not help.</summary>
    Duration? RetryAfter { get; set; }

    /// <summary>Whether <see cref="AttemptsLeft"/> is set.</summary>
    bool HasAttemptsLeft { get; }

    /// <summary>Wrong OTPs left before the next lock.</summary>
    int AttemptsLeft { get; set; }

    /// <summary>When it was decided, UTC.</summary>
    Timestamp DecidedAt { get; set; }

    /// <summary>True where this is the stored answer of an earlier delivery of the same request id.</summary>
    bool Repeated { get; set; }
}

public sealed partial class RegisterResponse : IOtpAnswer;

public sealed partial class VerifyResponse : IOtpAnswer;

public sealed partial class SuspendResponse : IOtpAnswer;

public sealed partial class ReplaceResponse : IOtpAnswer;

public sealed partial class ResynchronizeResponse : IOtpAnswer;
