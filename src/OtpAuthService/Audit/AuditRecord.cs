using OtpAuthService.Institutions;
using OtpAuthService.Submissions;
using OtpAuthService.Verification;

namespace OtpAuthService.Audit;

/// <summary>
/// One decision or operator act, written once, in the transaction of the decision (promise P8). Holds no OTP and no key. It stands in a chain:
/// each record's hash covers the one before, so that none can be altered, removed or moved without all that follow showing it.
/// </summary>
internal sealed class AuditRecord
{
    /// <summary>Which chain; each has one writer.</summary>
    public int ChainId { get; private set; }

    /// <summary>Its place in the chain, from 1 on.</summary>
    public long Position { get; private set; }

    /// <summary>SHA-256 over the hash of the record before it, or the chain's beginning, and its own <see cref="AuditContent"/>'s digest.</summary>
    public byte[] Hash { get; private set; } = [];

    public required DateTimeOffset DecidedAt { get; init; }

    /// <summary>The act, as the proto names the RPC.</summary>
    public required string Rpc { get; init; }

    public required InstitutionId InstitutionId { get; init; }

    public required string CallerId { get; init; }

    /// <summary>The person at the bank, where an operator's caller named one.</summary>
    public required string? OperatorId { get; init; }

    public required string RequestId { get; init; }

    /// <summary>As the institution's policy has contractors named (<see cref="ContractorNames"/>).</summary>
    public required string? ContractorId { get; init; }

    public required Channel Channel { get; init; }

    public required Purpose Purpose { get; init; }

    /// <summary>The row of the credential, where the act was about one.</summary>
    public required long? CredentialRef { get; init; }

    /// <summary>The time step that was claimed.</summary>
    public required TimeStep? TimeStep { get; init; }

    public required Outcome Outcome { get; init; }

    public required Decision Decision { get; init; }

    /// <summary>The reason that an operator gave.</summary>
    public required string? Reason { get; init; }

    /// <summary>The institution's policy that decided.</summary>
    public required int? PolicyVersion { get; init; }

    public static AuditRecord Of(Submission submission, string? contractor, int? policyVersion, Verdict verdict, DateTimeOffset now) => new()
    {
        DecidedAt = now,
        Rpc = submission.Rpc,
        InstitutionId = submission.Institution,
        CallerId = submission.Caller.Id,
        OperatorId = submission.Operator,
        RequestId = submission.RequestId,
        ContractorId = contractor,
        Channel = submission.Channel,
        Purpose = submission.Purpose,
        CredentialRef = verdict.CredentialRef,
        TimeStep = verdict.TimeStep,
        Outcome = verdict.Outcome,
        Decision = verdict.Decision,
        Reason = submission.Reason ?? verdict.Note,
        PolicyVersion = policyVersion,
    };

    /// <summary>Puts it behind a link.</summary>
    /// <returns>The link that it is.</returns>
    public ChainLink Follow(int chain, ChainLink before)
    {
        var link = before.Next(AuditContent.Digest(this));
        (ChainId, Position, Hash) = (chain, link.Position, link.Hash);
        return link;
    }
}
