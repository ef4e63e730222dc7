using Microsoft.EntityFrameworkCore;
using OtpAuthService.Institutions;
using OtpAuthService.Storage;
using OtpAuthService.Submissions;

namespace OtpAuthService.Credentials;

/// <summary>
/// SetSupplier and GetSuppliers: until when an institution takes a supplier's credentials. Replicas learn of a change with the institution's policy, within
/// <see cref="InstitutionDirectory.Age"/>.
/// </summary>
internal sealed class SupplierDirectory(DecisionLedger ledger, OtpStore store, InstitutionDirectory institutions)
{
    /// <summary>All credentials are counted: some seconds for tens of millions.</summary>
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(8);

    public async Task<Answer> SetAsync(
        Submission submission, string supplier, DateTimeOffset? noRegistrationFrom, DateTimeOffset? verifyUntil, CancellationToken cancellation)
    {
        var answer = await ledger.DecideApartAsync(new PendingDecision(
            submission,
            turn =>
            {
                turn.Db.SupplierDates.Add(new SupplierDates
                {
                    InstitutionId = submission.Institution,
                    Supplier = supplier,
                    NoRegistrationFrom = noRegistrationFrom,
                    VerifyUntil = verifyUntil,
                    CallerId = submission.Caller.Id,
                    OperatorId = submission.Operator,
                    Reason = submission.Reason!,
                    SetAt = turn.Now,
                });
                return new(Verdict.Accepted);
            },
            cancellation));
        institutions.Forget(submission.Institution);
        return answer;
    }

    /// <summary>All that credentials name, and all that the institution has set dates of, by name.</summary>
    public Task<List<SupplierState>> ReadAsync(InstitutionId institution, CancellationToken cancellation) => store.ReadAsync(
        async (db, stop) =>
        {
            var counts = await db.Credentials.GroupBy(c => c.Supplier).Select(g => new { g.Key, Count = g.LongCount() }).ToDictionaryAsync(g => g.Key, g => g.Count, stop);
            var dates = await Suppliers.InForce(db, institution).ToDictionaryAsync(d => d.Supplier, stop);
            return counts.Keys.Union(dates.Keys)
                .Order(StringComparer.Ordinal)
                .Select(name => new SupplierState(name, counts.GetValueOrDefault(name), dates.GetValueOrDefault(name)))
                .ToList();
        },
        cancellation,
        Deadline);
}

/// <summary>A supplier as operators see it.</summary>
/// <param name="Name">As credentials name it.</param>
/// <param name="Credentials">How many it made, whoever they were supplied to.</param>
/// <param name="Dates">Null where the institution never set any.</param>
internal sealed record SupplierState(string Name, long Credentials, SupplierDates? Dates);
