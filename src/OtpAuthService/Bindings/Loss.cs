using Microsoft.EntityFrameworkCore;
using OtpAuthService.Credentials;
using OtpAuthService.Submissions;

namespace OtpAuthService.Bindings;

/// <summary>
/// ReportLost (紛失・盗難・アンインストール): an operator stops a contractor's credential. From its answer on no replica accepts an OTP of it at this
/// institution; to others it is a signal or a stop, as their policy says.
/// </summary>
internal sealed class Loss(BindingDirectory bindings, DecisionLedger ledger)
{
    /// <returns>Accepted, or NotRegistered where there is no active binding to stop.</returns>
    public async Task<Answer> ReportAsync(Submission submission, ContractorRef contractor, LossKind kind, CancellationToken cancellation)
    {
        foreach (var _ in OnCurrent.Readings)
        {
            var current = await bindings.FindAsync(contractor, Reading.Anew, cancellation);
            var pending = new PendingDecision(submission, turn => DecideAsync(turn, current, kind), cancellation)
            {
                Changes = current.Credential?.Id,
                Policy = current.Institution,
            };
            if (await ledger.DecideAsync(pending) is { } answer)
            {
                return answer;
            }
        }

        throw OnCurrent.KeepsChanging();
    }

    private static async ValueTask<Verdict?> DecideAsync(Turn turn, CurrentBinding read, LossKind kind)
    {
        if (!turn.IsCurrent(read.Binding))
        {
            return null;
        }

        switch (turn.Binding?.State)
        {
            case BindingState.Active:
                var credential = turn.CurrentOf(read.Credential!);
                turn.Binding.ReportLost(turn.Now);
                credential.Status = CredentialStatus.Lost;
                await KeepReportAsync(turn, credential, kind);
                return Verdict.Accepted with { CredentialRef = credential.Id };
            case BindingState.Lost:
                // What was asked for holds already.
                return Verdict.Accepted with { CredentialRef = turn.Binding.CredentialRef };
            default:
                return Verdict.Deny(Outcome.NotRegistered);
        }
    }

    private static async Task KeepReportAsync(Turn turn, Credential credential, LossKind kind)
    {
        var institution = turn.Policy.Id;
        if (!await turn.Db.LossReports.AnyAsync(r => r.CredentialRef == credential.Id && r.InstitutionId == institution, turn.Stop))
        {
            turn.Db.LossReports.Add(new LossReport { CredentialRef = credential.Id, InstitutionId = institution, Kind = kind, ReportedAt = turn.Now });
        }
    }
}
