using System.Collections.Frozen;
using System.Security.Cryptography;
using Microsoft.EntityFrameworkCore;
using Npgsql;
using OtpAuthService.Audit;
using OtpAuthService.Bindings;
using OtpAuthService.Callers;
using OtpAuthService.Credentials;
using OtpAuthService.Institutions;
using OtpAuthService.Keys;
using OtpAuthService.Storage;
using OtpAuthService.Submissions;
using OtpAuthService.Verification;

namespace OtpAuthService.Hosting;

/// <summary>
/// Makes whole decisions and rolls them back: shows that the service's role may do all that a decision takes, and has the code compiled
/// and the statements prepared before the first customer, who would otherwise wait for that longer than a decision may take.
/// </summary>
internal static class Rehearsal
{
    /// <exception cref="StartRefusedException">A decision did not come out as it must.</exception>
    public static async Task RunAsync(OtpDbContext db, int keyVersion, ContractorNames names, DateTimeOffset now, CancellationToken cancellation)
    {
        await using var transaction = await db.Database.BeginTransactionAsync(cancellation);
        var contractor = new ContractorRef(InstitutionId.Parse("--rehearsal--"), ContractorId.Parse("--rehearsal--"));
        var binding = await BindAsync(db, contractor, keyVersion, now, cancellation);
        var credential = new KeyedCredential(binding.CredentialRef, Epoch: 0, new PinnedKey(1), Algorithm.Sha1, 6, 30, DriftSteps: 0, CredentialStatus.Active, Id);

        // Nobody's chain, and nothing of it stays.
        var chain = new AuditChain(0, new ChainLink(0, new byte[SHA256.HashSizeInBytes]), now);
        if (db.Database.GetDbConnection() is NpgsqlConnection postgres)
        {
            List<PendingDecision> accepted = [Prepare(contractor, binding, credential, TimeStep.At(now, 30), now)];
            Require((await ProposalStatement.WriteAsync(postgres, accepted, chain, names, now, careful: true, cancellation)).Confirmed.Count == 1);
        }

        List<PendingDecision> decided = [Prepare(contractor, binding, credential, TimeStep.At(now, 30).Plus(1), now), Prepare(contractor, binding, credential, null, now)];
        chain.End = new ChainLink(1, new byte[SHA256.HashSizeInBytes]);
        var (settled, _) = await DecisionLedger.SettleAsync(db, decided, chain, names, now, cancellation);
        Require(settled is [{ Answer.Verdict.Outcome: Outcome.Accepted }, { Answer.Verdict.Outcome: Outcome.Mismatch or Outcome.OutOfSync }]);
        var keys = decided.Select(p => p.Submission.Key).ToList();
        Require(await db.Answers.Where(a => keys.Contains(a.Key)).ExecuteDeleteAsync(cancellation) == keys.Count);
        await transaction.RollbackAsync(cancellation);
    }

    private const string Id = "rehearsal";

    private static async Task<Binding> BindAsync(OtpDbContext db, ContractorRef contractor, int keyVersion, DateTimeOffset now, CancellationToken cancellation)
    {
        var credential = new Credential
        {
            CredentialId = CredentialId.Random(),
            WrappedKey = [],
            KeyVersion = keyVersion,
            Algorithm = Algorithm.Sha1,
            Digits = 6,
            PeriodSeconds = 30,
            Supplier = Id,
            CreatedAt = now,
        };
        var binding = new Binding
        {
            InstitutionId = contractor.Institution,
            ContractorId = contractor.Contractor,
            CredentialRef = 0,
            Credential = credential,
            RegisteredAt = now,
        };
        db.Institutions.Add(NewInstitution(contractor.Institution, now));
        db.Contractors.Add(new Contractor { InstitutionId = contractor.Institution, ContractorId = contractor.Contractor });
        db.Bindings.Add(binding);
        await db.SaveChangesAsync(cancellation);
        db.ChangeTracker.Clear();
        return binding;
    }

    private static PendingDecision Prepare(ContractorRef contractor, Binding binding, KeyedCredential credential, TimeStep? step, DateTimeOffset now)
    {
        var caller = new Caller(Id, CallerRoles.None, new[] { contractor.Institution }.ToFrozenSet());
        var submission = new Submission(
            caller, Convert.ToHexString(RandomNumberGenerator.GetBytes(16)), "Rehearsal", contractor.Institution, Fingerprint: [], contractor.Contractor);
        var institution = NewInstitution(contractor.Institution, now);
        var otp = new CheckedOtp(credential, FitsCredential: true, default, step, default);
        return new PendingDecision(submission, turn => new(OtpChecker.Settle(turn, binding.Reading, otp)), CancellationToken.None)
        {
            Otp = otp,
            Policy = institution,
            Proposal = OtpChecker.Propose(otp, institution, now),
        };
    }

    private static Institution NewInstitution(InstitutionId id, DateTimeOffset now) => new() { Id = id, DisplayName = Id, CreatedAt = now };

    private static void Require(bool asExpected)
    {
        if (!asExpected)
        {
            throw new StartRefusedException("A rehearsed decision came out wrong: the tables do not work as this version expects.");
        }
    }
}
