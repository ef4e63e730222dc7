using Microsoft.EntityFrameworkCore;
using OtpAuthService.Credentials;
using OtpAuthService.Submissions;

namespace OtpAuthService.Bindings;

/// <summary>
/// ReportLost (紛失・盗難・アンインストール): an operator stops a contractor's credential. From its answer on no replica accepts an OTP of it at this
/// institution; to others it is a signal or a stop, as their policy says.
/// </summary>
internal sealed class Loss(BindingActs acts)
{
    /// <returns>Accepted, or NotRegistered where there is no active binding to stop.</returns>
    public Task<Answer> ReportAsync(Submission submission, LossKind kind, CancellationToken cancellation) =>
        acts.DecideAsync(submission, turn => DecideAsync(turn, kind), cancellation);

    private static async ValueTask<Verdict> DecideAsync(Turn turn, LossKind kind)
    {
        switch (turn.Binding?.State)
        {
            case BindingState.Active or BindingState.Stopped:
                var credential = turn.CredentialOf(turn.Binding);
                turn.Binding.ReportLost(turn.Now);
                credential.Status = CredentialStatus.Lost;
                await KeepReportAsync(turn, credential, kind);
                return Verdict.Accepted with { CredentialRef = credential.Id, Events = [EventKind.Lost] };
            case BindingState.Lost:
                // What was asked for holds already, or does again.
                turn.Binding.ReregistrationUntil = null;
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
