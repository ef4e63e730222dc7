using System.Collections.Frozen;
using Microsoft.EntityFrameworkCore;
using OtpAuthService.Audit;
using OtpAuthService.Bindings;
using OtpAuthService.Callers;
using OtpAuthService.Credentials;
using OtpAuthService.Institutions;
using OtpAuthService.Storage;
using OtpAuthService.Submissions;
using OtpAuthService.Verification;

namespace OtpAuthService.Hosting;

/// <summary>
/// Makes a whole decision and rolls it back: shows that the service's role may do all that a decision takes, and has the code compiled
/// and the statements prepared before the first customer, who would otherwise wait for that longer than a decision may take.
/// </summary>
internal static class Rehearsal
{
    /// <exception cref="StartRefusedException">The decision did not come out as it must.</exception>
    public static async Task RunAsync(OtpDbContext db, DateTimeOffset now, CancellationToken cancellation)
    {
        await using var transaction = await db.Database.BeginTransactionAsync(cancellation);
        var scope = new DecisionScope(db, now, cancellation);
        var contractor = new ContractorRef(InstitutionId.Parse("--rehearsal--"), ContractorId.Parse("--rehearsal--"));
        var credential = new Credential
        {
            CredentialId = CredentialId.Random(),
            WrappedKey = [],
            KeyVersion = KeyWrapping.FirstVersion,
            Algorithm = Algorithm.Sha1,
            Digits = 6,
            PeriodSeconds = 30,
            Supplier = "rehearsal",
            CreatedAt = scope.Now,
        };
        db.Institutions.Add(new Institution { Id = contractor.Institution, DisplayName = "rehearsal", CreatedAt = scope.Now });
        db.Credentials.Add(credential);
        var budget = await scope.LockContractorAsync(contractor);
        var binding = new Binding
        {
            InstitutionId = contractor.Institution,
            ContractorId = contractor.Contractor,
            CredentialRef = credential.Id,
            RegisteredAt = scope.Now,
        };
        db.Bindings.Add(binding);
        await db.SaveChangesAsync(cancellation);
        var otp = new CheckedOtp(credential, FitsCredential: true, TimeStep.At(scope.Now, credential.PeriodSeconds), KnownUsed: false);
        var verdict = await OtpChecker.SettleAsync(scope, budget, otp, binding.Id);
        var caller = new Caller("rehearsal", CallerRoles.None, new[] { contractor.Institution }.ToFrozenSet());
        var submission = new Submission(caller, "rehearsal", "Rehearsal", contractor.Institution, Fingerprint: [], contractor.Contractor);
        if (verdict is not { Outcome: Outcome.Accepted })
        {
            throw new StartRefusedException($"A rehearsed decision came out as {verdict?.Outcome}: the tables do not work as this version expects.");
        }

        db.Answers.Add(StoredAnswer.Of(submission, verdict, scope.Now));
        db.AuditRecords.Add(AuditRecord.Of(submission, verdict, scope.Now));
        await db.SaveChangesAsync(cancellation);
        await db.Answers.Where(a => a.CallerId == caller.Id).ExecuteDeleteAsync(cancellation);
        await transaction.RollbackAsync(cancellation);
    }
}
