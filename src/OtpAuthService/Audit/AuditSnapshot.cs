using Microsoft.EntityFrameworkCore;
using OtpAuthService.Storage;

namespace OtpAuthService.Audit;

/// <summary>The newest head, and the chains, as the database has them at one moment.</summary>
/// <param name="Head">Null before the first.</param>
/// <param name="Chains">All of them, by their ids.</param>
/// <param name="Ends">How far the open ones go, and when their last record was decided.</param>
internal sealed record AuditSnapshot(
    AuditHead? Head, IReadOnlyDictionary<int, AuditChainRow> Chains, IReadOnlyDictionary<int, (ChainLink Link, DateTimeOffset At)> Ends)
{
    public IEnumerable<AuditChainRow> Closed => Chains.Values.Where(c => c.ClosedByHead is not null);

    public static async Task<AuditSnapshot> ReadAsync(OtpDbContext db, CancellationToken stop)
    {
        var head = await db.AuditHeads.AsNoTracking().OrderByDescending(h => h.Number).FirstOrDefaultAsync(stop);
        var chains = await db.AuditChains.AsNoTracking().ToDictionaryAsync(c => c.Id, stop);
        var ends = new Dictionary<int, (ChainLink, DateTimeOffset)>();
        foreach (var chain in chains.Values.Where(c => c.ClosedByHead is null))
        {
            ends.Add(chain.Id, await ReadEndAsync(db, chain, stop));
        }

        return new AuditSnapshot(head, chains, ends);
    }

    /// <summary>
    /// Whether the chains are what the newest head says of them, or that and more: closed ones exactly, and of open ones the record that was the last
    /// still is where it was.
    /// </summary>
    /// <returns>Null where they are; else what is not.</returns>
    public async Task<AuditFault?> FindFaultAsync(OtpDbContext db, CancellationToken stop)
    {
        if (Head is null)
        {
            return null;
        }

        var said = Head.Read();
        if (AuditHeadContent.DigestOfClosed(Closed.Where(c => c.ClosedByHead <= Head.Number)) != said.Closed)
        {
            return new AuditFault(AuditFindingKind.Altered, 0, 0, "the table of closed chains is not as the newest head says");
        }

        foreach (var end in said.Open)
        {
            if (await FindFaultAsync(db, end, stop) is { } fault)
            {
                return fault;
            }
        }

        return null;
    }

    private async Task<AuditFault?> FindFaultAsync(OtpDbContext db, AuditChainEnd end, CancellationToken stop)
    {
        if (Chains.GetValueOrDefault(end.Chain) is not { } chain || Convert.ToHexStringLower(chain.Beginning) != end.Beginning)
        {
            return new AuditFault(AuditFindingKind.Removed, end.Chain, 1, "the chain is missing");
        }

        if (chain.RetiredPosition != end.RetiredPosition || Convert.ToHexStringLower(chain.RetiredHash ?? []) != end.RetiredHash)
        {
            return new AuditFault(AuditFindingKind.Removed, end.Chain, 1, "what was retired of the chain is not what the newest head says");
        }

        if (end.Position <= end.RetiredPosition)
        {
            return null;
        }

        var there = await db.AuditRecords.Where(r => r.ChainId == end.Chain && r.Position >= end.Position).OrderBy(r => r.Position)
            .Select(r => new { r.Position, r.Hash }).FirstOrDefaultAsync(stop);
        if (there is null)
        {
            var last = Ends.TryGetValue(end.Chain, out var known) ? known.Link.Position : chain.ClosedPosition ?? 0;
            return new AuditFault(AuditFindingKind.Truncated, end.Chain, last + 1, $"a signed head says that the chain goes to {end.Position}");
        }

        return there.Position == end.Position && Convert.ToHexStringLower(there.Hash) == end.Hash
            ? null
            : new AuditFault(AuditFindingKind.Altered, end.Chain, end.Position, "the record is not the one that a signed head names");
    }

    private static async Task<(ChainLink, DateTimeOffset)> ReadEndAsync(OtpDbContext db, AuditChainRow chain, CancellationToken stop)
    {
        var last = await db.AuditRecords.Where(r => r.ChainId == chain.Id).OrderByDescending(r => r.Position)
            .Select(r => new { r.Position, r.Hash, r.DecidedAt }).FirstOrDefaultAsync(stop);
        return last is not null ? (new ChainLink(last.Position, last.Hash), last.DecidedAt)
            : (chain.RetiredHash is { } retired ? new ChainLink(chain.RetiredPosition, retired) : new ChainLink(0, chain.Beginning), chain.OpenedAt);
    }
}

/// <summary>The first thing that is not as it was written.</summary>
/// <param name="Kind">What kind.</param>
/// <param name="Chain">The chain; 0 for a head or the chains as a whole.</param>
/// <param name="Position">The record; 0 for a head or the chains as a whole.</param>
/// <param name="Detail">A sentence.</param>
/// <param name="Head">The head; 0 for a record.</param>
internal sealed record AuditFault(AuditFindingKind Kind, int Chain, long Position, string Detail, long Head = 0);
