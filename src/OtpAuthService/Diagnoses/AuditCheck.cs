using Microsoft.Extensions.Options;
using OtpAuthService.Audit;
using OtpAuthService.Hosting;

namespace OtpAuthService.Diagnoses;

/// <summary>Whether the records are vouched for outside of the database (promise P8).</summary>
internal sealed class AuditCheck(AuditHeads heads, IOptions<OtpAuthOptions> options)
{
    public List<Finding> Look() => [JudgeRecords(), JudgeShipment(options.Value.AuditHeadsFile)];

    private Finding JudgeRecords() => heads.AreIntact
        ? Finding.Ok("audit.records", "The newest records were as the newest signed head says when it was looked last.")
        : Finding.Fault(
            "audit.records",
            "The records are not as the newest signed head says: no head is signed on top of them.",
            "Run otpctl audit verify --heads FILE, and keep the database and its backups as they are.");

    private static Finding JudgeShipment(string? path) => path switch
    {
        null or "" => Finding.Warning(
            "audit.heads",
            "Signed heads of the audit chains go to the log only: without them off the database's machine, a rollback of the whole database goes unseen.",
            "Set OtpAuth__AuditHeadsFile to a file that is carried off that machine, or keep the log's lines."),
        _ when !File.Exists(path) => Finding.Warning(
            "audit.heads",
            $"No head was shipped to {path} yet.",
            "Where that stays so beyond OtpAuth__AuditHeadInterval, see the log: the folder has to be writable."),
        _ => Finding.Ok("audit.heads", $"Signed heads of the audit chains are shipped to {path}."),
    };
}
