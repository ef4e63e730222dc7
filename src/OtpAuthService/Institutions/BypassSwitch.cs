using Microsoft.EntityFrameworkCore;
using OtpAuthService.Submissions;

namespace OtpAuthService.Institutions;

/// <summary>
/// StopBypass and ResumeBypass: the kill switch of an institution. A replica that has not read it yet bypasses for
/// <see cref="InstitutionDirectory.Age"/> at most.
/// </summary>
internal sealed class BypassSwitch(DecisionLedger ledger, InstitutionDirectory institutions)
{
    public async Task<Answer> TurnAsync(Submission submission, bool stopped, CancellationToken cancellation)
    {
        var answer = await ledger.DecideApartAsync(new PendingDecision(
            submission,
            async turn =>
            {
                var institution = await turn.Db.Institutions.SingleOrDefaultAsync(i => i.Id == submission.Institution, turn.Stop)
                    ?? throw new InstitutionMissingException(submission.Institution);
                institution.BypassStoppedAt = stopped ? institution.BypassStoppedAt ?? turn.Now : null;
                return Verdict.Accepted;
            },
            cancellation));
        institutions.Forget(submission.Institution);
        return answer;
    }
}
