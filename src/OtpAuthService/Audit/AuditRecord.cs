using OtpAuthService.Bindings;
using OtpAuthService.Institutions;
using OtpAuthService.Submissions;
using OtpAuthService.Verification;

namespace OtpAuthService.Audit;

/// <summary>One decision or operator act, written once, in the transaction of the decision (promise P8). Holds no OTP and no key.</summary>
internal sealed class AuditRecord
{
    public long Id { get; init; }

    public required DateTimeOffset DecidedAt { get; init; }

    /// <summary>The act, as the proto names the RPC.</summary>
    public required string Rpc { get; init; }

    public required InstitutionId InstitutionId { get; init; }

    public required string CallerId { get; init; }

    public required string RequestId { get; init; }

    public required ContractorId? ContractorId { get; init; }

    public required Channel Channel { get; init; }

    public required Purpose Purpose { get; init; }

    /// <summary>The row of the credential, where the act was about one.</summary>
    public required long? CredentialRef { get; init; }

    /// <summary>The time step that was claimed.</summary>
    public required TimeStep? TimeStep { get; init; }

    public required Outcome Outcome { get; init; }

    public required Decision Decision { get; init; }

    /// <summary>The reason that an operator gave.</summary>
    public string? Reason { get; init; }

    public static AuditRecord Of(Submission submission, Verdict verdict, DateTimeOffset now) => new()
    {
        DecidedAt = now,
        Rpc = submission.Rpc,
        InstitutionId = submission.Institution,
        CallerId = submission.Caller.Id,
        RequestId = submission.RequestId,
        ContractorId = submission.Contractor,
        Channel = submission.Channel,
        Purpose = submission.Purpose,
        CredentialRef = verdict.CredentialRef,
        TimeStep = verdict.TimeStep,
        Outcome = verdict.Outcome,
        Decision = verdict.Decision,
        Reason = submission.Reason,
    };
}
