using Microsoft.EntityFrameworkCore;
using OtpAuthService.Bindings;
using OtpAuthService.Credentials;
using OtpAuthService.Institutions;
using OtpAuthService.Storage;

namespace OtpAuthService.Audit;

/// <summary>QueryAudit: streams records of an institution as they come from the database, the oldest first.</summary>
internal sealed class AuditQuery(OtpStore store, ContractorNames names) : IDisposable
{
    /// <summary>As long as a streaming call may last.</summary>
    private static readonly TimeSpan Deadline = TimeSpan.FromMinutes(10);

    /// <summary>A query keeps a connection for as long as its reader takes; calls need connections too.</summary>
    private readonly SemaphoreSlim running = new(2);

    /// <param name="filter">Which ones.</param>
    /// <param name="write">Takes each record, with the id of the credential that it is about.</param>
    /// <param name="cancellation">Nobody reads any more.</param>
    public async Task RunAsync(AuditFilter filter, Func<AuditRecord, CredentialId?, Task> write, CancellationToken cancellation)
    {
        await running.WaitAsync(cancellation);
        try
        {
            await store.ReadAsync(
                async (db, deadline) =>
                {
                    using var stop = CancellationTokenSource.CreateLinkedTokenSource(deadline, cancellation);
                    await foreach (var found in Query(db, filter).AsAsyncEnumerable().WithCancellation(stop.Token))
                    {
                        await write(found.Record, found.Credential);
                    }

                    return true;
                },
                cancellation,
                Deadline);
        }
        finally
        {
            running.Release();
        }
    }

    public void Dispose() => running.Dispose();

    private IQueryable<Found> Query(OtpDbContext db, AuditFilter filter)
    {
        var records = db.AuditRecords.AsNoTracking()
            .Where(r => r.InstitutionId == filter.Institution && r.DecidedAt >= filter.Since && r.DecidedAt < filter.Until);
        if (filter.Contractor is { } contractor)
        {
            var allNames = names.All(filter.Institution, contractor);
            records = records.Where(r => allNames.Contains(r.ContractorId));
        }

        records = filter.Rpc is { } rpc ? records.Where(r => r.Rpc == rpc) : records;
        records = filter.Outcome is { } outcome ? records.Where(r => r.Outcome == outcome) : records;
        records = filter.CallerId is { } caller ? records.Where(r => r.CallerId == caller) : records;
        records = filter.RequestId is { } request ? records.Where(r => r.RequestId == request) : records;
        records = filter.Credential is { } id
            ? records.Where(r => db.Credentials.Any(c => c.CredentialId == id && c.Id == r.CredentialRef))
            : records;
        var found = from record in records
            join credential in db.Credentials on record.CredentialRef equals (long?)credential.Id into about
            from credential in about.DefaultIfEmpty()
            orderby record.DecidedAt, record.ChainId, record.Position
            select new Found(record, credential == null ? null : credential.CredentialId);
        return filter.Limit is { } limit ? found.Take(limit) : found;
    }

    private sealed record Found(AuditRecord Record, CredentialId? Credential);
}

/// <summary>Which audit records are asked for; null: any.</summary>
/// <param name="Institution">Whose.</param>
/// <param name="Since">From then on.</param>
/// <param name="Until">Up to then, exclusive.</param>
internal sealed record AuditFilter(InstitutionId Institution, DateTimeOffset Since, DateTimeOffset Until)
{
    public ContractorId? Contractor { get; init; }

    public CredentialId? Credential { get; init; }

    public string? Rpc { get; init; }

    public Outcome? Outcome { get; init; }

    public string? CallerId { get; init; }

    public string? RequestId { get; init; }

    public int? Limit { get; init; }
}
