using System.Diagnostics;
using OtpAuthService.Audit;
using OtpAuthService.Bindings;
using OtpAuthService.Credentials;
using OtpAuthService.Institutions;
using OtpAuthService.Verification;

namespace OtpAuthService.Submissions;

/// <summary>A submission on its way to its answer.</summary>
/// <param name="Submission">What was submitted.</param>
/// <param name="Decide">
/// The act: decides in the contractor's turn. Null where what it was told beforehand is out of date. It may be run again, so it must have
/// no effect outside the turn, and an <see cref="InvalidRequestException"/> comes before any change.
/// </param>
/// <param name="Cancellation">The caller no longer waits. Heeded until the submission's batch begins, and not after.</param>
internal sealed record PendingDecision(Submission Submission, Func<Turn, ValueTask<Verdict?>> Decide, CancellationToken Cancellation)
{
    // Whoever waits goes on where it is completed: the ledger tells the callers of a whole batch at once, and not where it decides.
    private readonly TaskCompletionSource<Answer?> answer = new();

    /// <summary>The OTP that it is about, as it was matched; null where there is none.</summary>
    public CheckedOtp? Otp { get; init; }

    /// <summary>The OTP of the credential that is to take over, as it was matched; null for everything but Replace.</summary>
    public CheckedOtp? SuccessorOtp { get; init; }

    /// <summary>The verdict to be expected from what is known beforehand; the database confirms it, or the act decides. Null where nothing can be expected.</summary>
    public Proposal? Proposal { get; set; }

    /// <summary>The row of the credential that the act looks at.</summary>
    public long? CredentialRef => Otp?.Credential.Id ?? Changes;

    /// <summary>The rows of all credentials that the act looks at.</summary>
    public IEnumerable<long> CredentialRefs
    {
        get
        {
            if (CredentialRef is { } credential)
            {
                yield return credential;
            }

            if (SuccessorOtp is { } successor)
            {
                yield return successor.Credential.Id;
            }
        }
    }

    /// <summary>The row of the credential that an act without an OTP changes.</summary>
    public long? Changes { get; init; }

    /// <summary>The policy that it is decided by, and that says how records name the contractor; null for acts on no contractor.</summary>
    public Institution? Policy { get; init; }

    /// <summary>The row of the credential that the act binds: it asks who else has it.</summary>
    public long? Binds { get; init; }

    /// <summary>The span of its call; null where nobody traces.</summary>
    public Activity? Call { get; } = Activity.Current;

    /// <summary>When it began to wait, as <see cref="Stopwatch"/> tells time.</summary>
    public long Since { get; } = Stopwatch.GetTimestamp();

    /// <summary>Whose turn it takes; null for acts on credentials alone.</summary>
    public ContractorRef? Contractor => Submission.Contractor is { } id ? new ContractorRef(Submission.Institution, id) : null;

    /// <summary>Completes with the answer, after its commit; with null where the act's reading was out of date.</summary>
    public Task<Answer?> Answer => answer.Task;

    /// <summary>Whether it was decided or has failed; its caller may not have been told yet.</summary>
    public bool IsSettled { get; set; }

    /// <summary>What records call the contractor; null where it is about none.</summary>
    public string? NameFor(ContractorNames names) => Submission.Contractor is { } contractor
        ? names.Of(Policy ?? throw new InvalidOperationException($"{Submission.Rpc} is about a contractor, but knows no policy."), contractor)
        : null;

    /// <summary>The OTPs whose steps a verdict that names a claimed step has claimed: Replace looks at the second one after it has claimed the first.</summary>
    public CheckedOtp[] ClaimedBy(Verdict verdict) =>
        Otp is null ? [] : SuccessorOtp is { } successor && successor.Credential.Id == verdict.CredentialRef ? [Otp, successor] : [Otp];

    public void Complete(Answer? decided) => answer.TrySetResult(decided);

    public void Fail(Exception reason)
    {
        IsSettled = true;
        answer.TrySetException(reason);
    }
}

/// <summary>
/// A verdict that is right provided that nothing has changed: the statement that writes it says whether so. It never decides by itself.
/// </summary>
/// <param name="Verdict">The verdict; its time step, where it has one, is claimed by the same statement.</param>
/// <param name="Epoch">
/// The credential's epoch it rests on: as long as it is the same, the binding is active, nothing is counted against its contractor, and the
/// drift is as it was.
/// </param>
/// <param name="Status">The credential's status it rests on.</param>
/// <param name="DriftDays">What the credential's <see cref="Credential.DriftDays"/> becomes where the step is claimed.</param>
internal sealed record Proposal(Verdict Verdict, long Epoch = 0, CredentialStatus Status = CredentialStatus.Active, int DriftDays = 0);
