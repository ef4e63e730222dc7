using Google.Protobuf;
using Microsoft.EntityFrameworkCore;
using OtpAuthService.Submissions;
using OtpAuthService.V1;

namespace OtpAuthService.Institutions;

/// <summary>
/// SetInstitutionPolicy: sets an institution up, or changes its policy as a whole. What each version said, who set it and why is kept. Other
/// replicas decide by it within <see cref="InstitutionDirectory.Age"/>.
/// </summary>
internal sealed class PolicyChange(DecisionLedger ledger, InstitutionDirectory institutions)
{
    /// <param name="submission">The request.</param>
    /// <param name="displayName">The name that token programs show.</param>
    /// <param name="policy">The policy; already valid.</param>
    /// <param name="expectedVersion">The version that it replaces; 0: there is no such institution yet.</param>
    /// <param name="cancellation">The caller no longer waits.</param>
    /// <exception cref="PolicyVersionException">Another version is in force.</exception>
    public async Task<Answer> SetAsync(
        Submission submission, string displayName, InstitutionPolicy policy, int expectedVersion, CancellationToken cancellation)
    {
        var answer = await ledger.DecideApartAsync(new PendingDecision(
            submission,
            async turn =>
            {
                var institution = await turn.Db.Institutions.SingleOrDefaultAsync(i => i.Id == submission.Institution, turn.Stop);
                if ((institution?.PolicyVersion ?? 0) != expectedVersion)
                {
                    throw new PolicyVersionException(institution?.PolicyVersion ?? 0);
                }

                if (institution is null)
                {
                    institution = new Institution { Id = submission.Institution, DisplayName = displayName, CreatedAt = turn.Now };
                    turn.Db.Institutions.Add(institution);
                }

                policy.ApplyTo(institution);
                institution.DisplayName = displayName;
                institution.PolicyVersion = expectedVersion + 1;
                turn.Db.PolicyVersions.Add(new PolicyVersion
                {
                    InstitutionId = institution.Id,
                    Version = institution.PolicyVersion,
                    DisplayName = displayName,
                    Policy = JsonFormatter.Default.Format(institution.ToWire()),
                    CallerId = submission.Caller.Id,
                    Reason = submission.Reason!,
                    SetAt = turn.Now,
                });
                return Verdict.Accepted;
            },
            cancellation));
        institutions.Forget(submission.Institution);
        return answer;
    }
}

/// <summary>What a version of an institution's policy said.</summary>
internal sealed class PolicyVersion
{
    public required InstitutionId InstitutionId { get; init; }

    public required int Version { get; init; }

    public required string DisplayName { get; init; }

    /// <summary>InstitutionPolicy of the contract, as proto3 JSON.</summary>
    public required string Policy { get; init; }

    public required string CallerId { get; init; }

    public required string Reason { get; init; }

    public required DateTimeOffset SetAt { get; init; }
}

/// <summary>A change of policy was made on a version that is not the one in force. Nothing was changed.</summary>
internal sealed class PolicyVersionException(int current)
    : Exception($"the policy in force is version {current}: read it, and send the change with that as expected_version");
