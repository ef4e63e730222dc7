using Microsoft.EntityFrameworkCore;
using OtpAuthService.Credentials;
using OtpAuthService.Submissions;

namespace OtpAuthService.Bindings;

/// <summary>
/// ReportLost (紛失・盗難・アンインストール): an operator stops a contractor's credential. From its answer on no replica accepts an OTP of it at this
/// institution, nor a temporary one that was issued before; to others it is a signal or a stop, as their policy says.
/// </summary>
internal sealed class Loss(BindingActs acts)
{
    /// <returns>Accepted, or NotRegistered where the contractor never had a credential.</returns>
    public Task<Answer> ReportAsync(Submission submission, LossKind kind, CancellationToken cancellation) =>
        acts.DecideAsync(submission, turn => DecideAsync(turn, kind), cancellation);

    private static async ValueTask<Verdict> DecideAsync(Turn turn, LossKind kind)
    {
        switch (turn.Binding)
        {
            case { State: BindingState.Active or BindingState.Stopped } binding:
                binding.ReportLost(turn.Now);
                break;
            case { State: BindingState.Lost } lost:
                // What was asked for holds already, or does again.
                lost.ReregistrationUntil = null;
                break;
            case { State: BindingState.Suspended }:
                // The contractor goes on without OTPs, but whoever has the token now must not register it in their name.
                break;
            default:
                return Verdict.Deny(Outcome.NotRegistered);
        }

        // What was handed out before may be in the same bag.
        turn.Contractor.EndTemporaryOtp();
        var credential = turn.CredentialOf(turn.Binding);
        credential.Status = CredentialStatus.Lost;
        return Verdict.Accepted with { CredentialRef = credential.Id, Events = await KeepReportAsync(turn, credential, kind) ? [EventKind.Lost] : [] };
    }

    /// <returns>Whether it is the first of this institution.</returns>
    private static async Task<bool> KeepReportAsync(Turn turn, Credential credential, LossKind kind)
    {
        var institution = turn.Policy.Id;
        if (await turn.Db.LossReports.AnyAsync(r => r.CredentialRef == credential.Id && r.InstitutionId == institution, turn.Stop))
        {
            return false;
        }

        turn.Db.LossReports.Add(new LossReport { CredentialRef = credential.Id, InstitutionId = institution, Kind = kind, ReportedAt = turn.Now });
        return true;
    }
}
