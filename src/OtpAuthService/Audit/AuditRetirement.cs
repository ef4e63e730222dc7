using System.Globalization;
using Microsoft.EntityFrameworkCore;
using OtpAuthService.Hosting;
using OtpAuthService.Storage;
using OtpAuthService.Telemetry;

namespace OtpAuthService.Audit;

/// <summary>
/// Drops months of audit records that nobody has to keep any more, once all records were found as they were written. The last record of each chain among
/// them stays in a signed head, so that what follows is checked as before. A command of its own, with the role that owns the tables: the service may not.
/// </summary>
internal sealed class AuditRetirement(
    OtpStore store, StoreSet stores, AuditVerification verification, AuditHeads heads, TimeProvider time, ILogger<AuditRetirement> log)
{
    private const string Partition = "audit_trail_";

    private static readonly TimeSpan Deadline = TimeSpan.FromMinutes(10);

    /// <param name="before">The first month that is kept, as <c>2026-01</c>; at most the current one.</param>
    /// <param name="output">Told what was done.</param>
    /// <param name="cancellation">Give up; nothing was dropped then.</param>
    /// <exception cref="StartRefusedException">The month is none that may be dropped, or the records are not as they were written.</exception>
    public async Task RunAsync(string before, TextWriter output, CancellationToken cancellation)
    {
        if (!stores.IsPostgres
            || !DateTimeOffset.TryParseExact(before, "yyyy-MM", CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var month)
            || month > time.GetUtcNow())
        {
            throw new StartRefusedException("retire-audit takes the first month to be kept, as 2026-01, not a later one than now; and it needs PostgreSQL.");
        }

        await RequireIntactAsync(output, cancellation);
        var dropped = await store.WriteAsync((db, stop) => DropAsync(db, month, stop), cancellation, Deadline);
        dropped.ForEach(log.AuditRetired);
        await output.WriteLineAsync(dropped.Count == 0 ? "There was nothing to drop." : $"Dropped {string.Join(", ", dropped)}.");
    }

    private async Task RequireIntactAsync(TextWriter output, CancellationToken cancellation)
    {
        var (records, place) = (0L, (Chain: 0, Position: 0L));
        while (true)
        {
            var report = await verification.VerifyAsync(place.Chain, place.Position, shipped: null, cancellation);
            records += report.Records;
            if (report.Fault is { } fault)
            {
                throw new StartRefusedException(
                    $"Nothing was dropped: the records are not as they were written. {fault.Kind}, chain {fault.Chain}, position {fault.Position}: {fault.Detail}.");
            }

            if (report.Next is not { } next)
            {
                await output.WriteLineAsync($"{records} records are as they were written.");
                return;
            }

            place = next;
        }
    }

    private async Task<List<string>> DropAsync(OtpDbContext db, DateTimeOffset month, CancellationToken stop)
    {
        var partitions = (await db.Database.SqlQuery<string>(
                $"SELECT inhrelid::regclass::text AS \"Value\" FROM pg_inherits WHERE inhparent = 'audit_trail'::regclass ORDER BY 1").ToListAsync(stop))
            .FindAll(name => MonthOf(name) < month);
        if (partitions.Count == 0)
        {
            return partitions;
        }

        foreach (var chain in await db.AuditChains.ToListAsync(stop))
        {
            var last = await db.AuditRecords.Where(r => r.ChainId == chain.Id && r.DecidedAt < month).OrderByDescending(r => r.Position)
                .Select(r => new { r.Position, r.Hash }).FirstOrDefaultAsync(stop);
            (chain.RetiredPosition, chain.RetiredHash) = last is null ? (chain.RetiredPosition, chain.RetiredHash) : (last.Position, last.Hash);
            if (chain.ClosedPosition <= chain.RetiredPosition)
            {
                db.AuditChains.Remove(chain);
            }
        }

        await db.SaveChangesAsync(stop);
        db.ChangeTracker.Clear();
        foreach (var partition in partitions)
        {
#pragma warning disable EF1002 // A name that PostgreSQL itself has quoted.
            await db.Database.ExecuteSqlRawAsync($"DROP TABLE {partition}", stop);
#pragma warning restore EF1002
        }

        await heads.SignAsync(db, await AuditSnapshot.ReadAsync(db, stop), stop);
        return partitions;
    }

    /// <summary>Of the common partition, which belongs to no month: never.</summary>
    private static DateTimeOffset MonthOf(string partition) => DateTimeOffset.TryParseExact(
        partition.StartsWith(Partition, StringComparison.Ordinal) ? partition[Partition.Length..] : "",
        "yyyy_MM",
        CultureInfo.InvariantCulture,
        DateTimeStyles.AssumeUniversal,
        out var month)
        ? month
        : DateTimeOffset.MaxValue;
}
