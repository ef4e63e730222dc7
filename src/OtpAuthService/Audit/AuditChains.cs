using System.Collections.Concurrent;
using System.Security.Cryptography;
using Microsoft.EntityFrameworkCore;
using OtpAuthService.Storage;

namespace OtpAuthService.Audit;

/// <summary>
/// The chains that this replica writes. A transaction has one for itself, so that nothing waits for another's record; there are as many as there were
/// transactions at once. Nobody else writes to them: how far they go is known here, and does not have to be read.
/// </summary>
internal sealed class AuditChains(OtpStore store, TimeProvider time)
{
    /// <summary>An unused chain is given up after that; one that nothing was added to for twice as long is closed by the next head.</summary>
    public static readonly TimeSpan LongestIdle = TimeSpan.FromMinutes(30);

    /// <summary>Replaced as a whole by <see cref="Forget"/>: a chain that was taken before does not come back.</summary>
    private volatile ConcurrentStack<AuditChain> unused = new();

    /// <summary>How far the database has said that the chains go, those that nobody adds to any more too.</summary>
    private readonly ConcurrentDictionary<int, (ChainLink End, DateTimeOffset At)> committed = new();

    /// <summary>A chain for one transaction. Dispose of it whatever became of the transaction.</summary>
    public async ValueTask<AuditChain> TakeAsync()
    {
        var home = unused;
        while (home.TryPop(out var chain))
        {
            if (time.GetUtcNow() - chain.UsedAt < LongestIdle)
            {
                return chain;
            }
        }

        foreach (var (id, last) in committed.Where(c => time.GetUtcNow() - c.Value.At >= LongestIdle))
        {
            committed.TryRemove(id, out _);
        }

        var row = NewRow();
        await store.WriteAsync(
            async (db, stop) =>
            {
                db.AuditChains.Add(row);
                return await db.SaveChangesAsync(stop);
            },
            CancellationToken.None);
        return Begin(row, time.GetUtcNow(), home);
    }

    /// <summary>A chain that is not there yet.</summary>
    public AuditChainRow NewRow() => new() { Beginning = RandomNumberGenerator.GetBytes(SHA256.HashSizeInBytes), OpenedAt = time.GetUtcNow() };

    /// <summary>The chain of a row that was saved, for one transaction and no other.</summary>
    public static AuditChain Begin(AuditChainRow row, DateTimeOffset now, ConcurrentStack<AuditChain>? home = null) => new(row.Id, new ChainLink(0, row.Beginning), now, home);

    /// <summary>The database may have gone back: how far the chains go is not known any more, and nobody adds to them.</summary>
    public void Forget()
    {
        unused = new();
        committed.Clear();
    }

    /// <summary>A record whose commit was answered and that the database does not hold; null where it holds the last one of every chain.</summary>
    public async Task<ChainLink?> FindMissingAsync(OtpDbContext db, CancellationToken stop)
    {
        var ends = committed.ToArray();
        var (ids, positions) = (ends.Select(e => e.Key).ToList(), ends.Select(e => e.Value.End.Position).Distinct().ToList());
        var held = await db.AuditRecords.Where(r => ids.Contains(r.ChainId) && positions.Contains(r.Position)).Select(r => new { r.ChainId, r.Position, r.Hash }).ToListAsync(stop);
        return ends.Select(e => (Chain: e.Key, e.Value.End))
            .FirstOrDefault(e => !held.Exists(h => h.ChainId == e.Chain && h.Position == e.End.Position && h.Hash.AsSpan().SequenceEqual(e.End.Hash))).End;
    }

    /// <summary>The transaction was committed, and the chain goes as far as <paramref name="end"/>.</summary>
    public void Extend(AuditChain chain, ChainLink end)
    {
        (chain.End, chain.UsedAt) = (end, time.GetUtcNow());
        if (chain.Home == unused && end.Position > 0)
        {
            committed[chain.Id] = (end, chain.UsedAt);
        }

        GiveBack(chain);
    }

    /// <summary>The transaction was rolled back. Where that is not certain, the chain must not come back: another record in the same place would fork it.</summary>
    public void GiveBack(AuditChain chain)
    {
        var home = unused;
        if (chain.Home == home)
        {
            home.Push(chain);
        }
    }
}

/// <summary>A chain in the hands of its writer.</summary>
internal sealed class AuditChain(int id, ChainLink end, DateTimeOffset usedAt, ConcurrentStack<AuditChain>? home = null)
{
    /// <summary>Where it waits for its next transaction; null for a chain of one.</summary>
    public ConcurrentStack<AuditChain>? Home => home;

    public int Id => id;

    public ChainLink End { get; set; } = end;

    public DateTimeOffset UsedAt { get; set; } = usedAt;

    /// <summary>Puts records behind its end, in their order. The chain itself grows only with the commit.</summary>
    /// <returns>The end that it then has.</returns>
    public ChainLink Append(IEnumerable<AuditRecord> records) => records.Aggregate(End, (end, record) => record.Follow(id, end));
}

/// <summary>A chain as the database knows it.</summary>
internal sealed class AuditChainRow
{
    public int Id { get; init; }

    /// <summary>What its first record follows: random, so that a chain cannot be made up beforehand.</summary>
    public required byte[] Beginning { get; init; }

    public required DateTimeOffset OpenedAt { get; init; }

    /// <summary>The head that says it goes no further; null while it is open.</summary>
    public long? ClosedByHead { get; set; }

    /// <summary>The last record's place when it was closed.</summary>
    public long? ClosedPosition { get; set; }

    /// <summary>Its hash.</summary>
    public byte[]? ClosedHash { get; set; }

    /// <summary>Records up to here were removed with their month, when they were old enough.</summary>
    public long RetiredPosition { get; set; }

    /// <summary>The hash of the last of them.</summary>
    public byte[]? RetiredHash { get; set; }
}
