namespace OtpAuthService.Audit;

/// <summary>Holds stored records against the hashes they were given and against what a signed head says. They come in the order of chains and positions.</summary>
/// <param name="claims">What is signed of each chain.</param>
/// <param name="from">The chain to begin with.</param>
/// <param name="before">The record, checked already, that it begins behind; null: at the beginning of the chain.</param>
internal sealed class ChainCheck(SortedList<int, ChainClaim> claims, int from, ChainLink? before)
{
    private int chain = from;
    private ChainLink? link = before ?? (claims.TryGetValue(from, out var first) ? first.Start : null);

    /// <summary>Chains with records that <paramref name="claims"/> does not name: begun since, or made up.</summary>
    public HashSet<int> Unnamed { get; } = [];

    /// <summary>Where to go on.</summary>
    public (int Chain, long Position) Place => (chain, link?.Position ?? 0);

    /// <summary>Checks the next records.</summary>
    /// <returns>The first thing that is wrong; null where nothing is.</returns>
    public AuditFault? Check(List<StoredLink> records)
    {
        for (var i = 0; i < records.Count; i++)
        {
            if (records[i].Chain != chain && EndUpTo(records[i].Chain) is { } ended)
            {
                return ended;
            }

            if (Check(records, i) is { } fault)
            {
                return fault;
            }
        }

        return null;
    }

    /// <summary>Told of the chains that there are by now: the others were made up.</summary>
    public AuditFault? FindMadeUp(IEnumerable<int> chains) => Unnamed.Except(chains).Order().Select(id =>
        new AuditFault(AuditFindingKind.Inserted, id, 1, "there is no such chain")).FirstOrDefault();

    /// <summary>There are no more records.</summary>
    public AuditFault? End() => EndUpTo(int.MaxValue);

    private AuditFault? Check(List<StoredLink> records, int i)
    {
        var record = records[i];
        if (link is null || !claims.TryGetValue(chain, out var claim))
        {
            Unnamed.Add(chain);
            link = new ChainLink(record.Position, record.Hash);
            return null;
        }

        if (record.Position <= claim.Start.Position)
        {
            // Of a month that was retired, but with a clock that was ahead of it.
            return null;
        }

        if (record.Position > link.Position + 1)
        {
            return Fault(AuditFindingKind.Removed, link.Position + 1, "the record is missing");
        }

        if (record.Position <= link.Position)
        {
            return Fault(AuditFindingKind.Inserted, record.Position, "two records stand in one place");
        }

        if (!Follows(link, record))
        {
            return Fault(Classify(records, i), record.Position, "the record does not give the hash of its place");
        }

        link = new ChainLink(record.Position, record.Hash);
        return CheckClaim(claim);
    }

    private AuditFault? CheckClaim(ChainClaim claim)
    {
        if (link!.Position == claim.End.Position && !link.Hash.AsSpan().SequenceEqual(claim.End.Hash))
        {
            return Fault(AuditFindingKind.Altered, link.Position, "the chain is not the one that a signed head names");
        }

        return claim.IsClosed && link.Position > claim.End.Position
            ? Fault(AuditFindingKind.Inserted, link.Position, "the chain was closed before")
            : null;
    }

    /// <summary>
    /// What happened where a record does not follow: if the next one follows instead, something was put in between, or the two changed places.
    /// </summary>
    private AuditFindingKind Classify(List<StoredLink> records, int i)
    {
        if (i + 1 >= records.Count || records[i + 1].Chain != chain || !Follows(link!, records[i + 1]))
        {
            return AuditFindingKind.Altered;
        }

        var next = new ChainLink(link!.Position + 1, records[i + 1].Hash);
        return Follows(next, records[i]) ? AuditFindingKind.Reordered : AuditFindingKind.Inserted;
    }

    private static bool Follows(ChainLink before, StoredLink record) =>
        ChainLink.HashAfter(before.Hash, record.Digest).AsSpan().SequenceEqual(record.Hash);

    /// <summary>The chain has no more records, nor have those that come before the next one with records.</summary>
    private AuditFault? EndUpTo(int next)
    {
        while (true)
        {
            if (claims.TryGetValue(chain, out var claim) && link!.Position < claim.End.Position)
            {
                return Fault(AuditFindingKind.Truncated, link.Position + 1, $"a signed head says that the chain goes to {claim.End.Position}");
            }

            var following = claims.Keys.FirstOrDefault(id => id > chain, int.MaxValue);
            (chain, link) = following <= next && following != int.MaxValue ? (following, claims[following].Start) : (next, null);
            if (chain == next)
            {
                return null;
            }
        }
    }

    private AuditFault Fault(AuditFindingKind kind, long position, string detail) => new(kind, chain, position, detail);
}

/// <summary>What is signed of a chain.</summary>
/// <param name="Start">What its first stored record follows: its beginning, or the last record that was retired.</param>
/// <param name="End">The record it goes to at least.</param>
/// <param name="IsClosed">It goes no further.</param>
internal sealed record ChainClaim(ChainLink Start, ChainLink End, bool IsClosed);
