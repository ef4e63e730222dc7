using OtpAuthService.Institutions;
using OtpAuthService.Submissions;

namespace OtpAuthService.Bindings;

/// <summary>
/// What operators do about a contractor, in the contractor's turn and with the row of the newest binding's credential held. No key is opened: a loss can
/// be reported while the KEK is away.
/// </summary>
internal sealed class BindingActs(BindingDirectory bindings, InstitutionDirectory institutions, DecisionLedger ledger)
{
    /// <param name="submission">The request; about a contractor.</param>
    /// <param name="decide">The act.</param>
    /// <param name="cancellation">The caller no longer waits.</param>
    public async Task<Answer> DecideAsync(Submission submission, Func<Turn, ValueTask<Verdict>> decide, CancellationToken cancellation)
    {
        var contractor = new ContractorRef(submission.Institution, submission.Contractor!.Value);
        var policy = await institutions.FindAsync(contractor.Institution, cancellation);
        foreach (var _ in OnCurrent.Readings)
        {
            var (binding, _) = await bindings.FindStateAsync(contractor, cancellation);
            var pending = new PendingDecision(
                submission, async turn => turn.IsCurrent(binding?.Reading) ? await decide(turn) : null, cancellation)
            {
                Changes = binding?.CredentialRef,
                Policy = policy,
            };
            if (await ledger.DecideAsync(pending) is { } answer)
            {
                return answer;
            }
        }

        throw OnCurrent.KeepsChanging();
    }
}
