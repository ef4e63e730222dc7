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
    /// Whether the table of chains is what the newest head says of it, or that and more, and of the open ones the record that was the last still is where it was.
    /// </summary>
    /// <returns>Null where all is well; else what is not.</returns>
    public async Task<AuditFault?> FindFaultAsync(OtpDbContext db, CancellationToken stop)
    {
        if (FindForgedChain() is { } forged)
        {
            return forged;
        }

        foreach (var end in Head?.Read().Open.Where(end => end.Position > end.RetiredPosition) ?? [])
        {
            var hash = await db.AuditRecords.Where(r => r.ChainId == end.Chain && r.Position == end.Position).Select(r => r.Hash).FirstOrDefaultAsync(stop);
            if (hash is null || Convert.ToHexStringLower(hash) != end.Hash)
            {
                return new AuditFault(AuditFindingKind.Altered, end.Chain, end.Position, "the record is not the one that a signed head names");
            }
        }

        return null;
    }

    /// <summary>Whether the table of chains is what the newest head says of it, or that and more. The records are not looked at.</summary>
    /// <inheritdoc cref="FindFaultAsync" path="/returns"/>
    public AuditFault? FindForgedChain()
    {
        if (Head?.Read() is not { } said)
        {
            return null;
        }

        return AuditHeadContent.DigestOfClosed(Closed.Where(c => c.ClosedByHead <= Head.Number)) == said.Closed
            ? said.Open.Select(FindForged).FirstOrDefault(fault => fault is not null)
            : new AuditFault(AuditFindingKind.HeadForged, 0, 0, "the closed chains are not those of the newest head", Head.Number);
    }

    /// <summary>
    /// What the newest head says of each chain, in a form to hold records against. Of chains that it does not know yet, nothing was vouched for: they are
    /// taken as they are.
    /// </summary>
    public SortedList<int, ChainClaim> Claims()
    {
        var open = Head!.Read().Open.ToDictionary(end => end.Chain);
        var claims = new SortedList<int, ChainClaim>(Chains.Count);
        foreach (var chain in Chains.Values)
        {
            var start = new ChainLink(chain.RetiredPosition, chain.RetiredHash ?? chain.Beginning);
            var end = chain.ClosedByHead <= Head.Number ? new ChainLink(chain.ClosedPosition!.Value, chain.ClosedHash!)
                : open.TryGetValue(chain.Id, out var said) ? new ChainLink(said.Position, Convert.FromHexString(said.Hash))
                : start;
            claims.Add(chain.Id, new ChainClaim(start, end, chain.ClosedByHead <= Head.Number));
        }

        return claims;
    }

    private AuditFault? FindForged(AuditChainEnd end)
    {
        if (Chains.GetValueOrDefault(end.Chain) is not { } chain || Convert.ToHexStringLower(chain.Beginning) != end.Beginning)
        {
            return new AuditFault(AuditFindingKind.Removed, end.Chain, 1, "the chain is missing");
        }

        return chain.RetiredPosition == end.RetiredPosition && Convert.ToHexStringLower(chain.RetiredHash ?? []) == end.RetiredHash
            ? null
            : new AuditFault(AuditFindingKind.Removed, end.Chain, 1, "what was retired of the chain is not what the newest head says");
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
