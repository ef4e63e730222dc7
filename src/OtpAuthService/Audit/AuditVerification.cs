using System.Diagnostics;
using Microsoft.EntityFrameworkCore;
using OtpAuthService.Storage;

namespace OtpAuthService.Audit;

/// <summary>
/// VerifyAudit: holds the heads against each other, the newest one against the signing key, and every record against its chain. One call looks at what it
/// can in a few seconds; the heads come first, as if they were a chain 0.
/// </summary>
internal sealed class AuditVerification(OtpStore store, StoredLinks records, AuditHeads heads, HeadSigner signer)
{
    /// <summary>A call may last twice as long.</summary>
    private static readonly TimeSpan LongestLook = TimeSpan.FromSeconds(4);

    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(5);

    private const int HeadSlice = 1_000;

    /// <param name="chain">Where to go on; 0 and 0 to begin.</param>
    /// <param name="position">Likewise.</param>
    /// <param name="shipped">The newest head that was carried off the database; null: none is at hand.</param>
    /// <param name="cancellation">The caller no longer waits.</param>
    /// <exception cref="KekUnavailableException">The signing key cannot be reached.</exception>
    public async Task<AuditReport> VerifyAsync(int chain, long position, (long Number, byte[] Hash)? shipped, CancellationToken cancellation)
    {
        if ((chain, position) == (0, 0))
        {
            // What it finds is found again, and more exactly.
            await heads.SignAsync(cancellation);
        }

        if (await store.ReadAsync(AuditSnapshot.ReadAsync, cancellation, Deadline) is not { Head: { } newest } snapshot)
        {
            return AuditReport.Of(new AuditFault(AuditFindingKind.HeadForged, 0, 0, "there is no head", 1));
        }

        // The newest one speaks for all before it.
        return await signer.FindForgedAsync(newest, cancellation) is { } forged ? AuditReport.Of(forged)
            : chain == 0 ? await VerifyHeadsAsync(position, newest, shipped, cancellation)
            : await VerifyChainsAsync(snapshot, chain, position, cancellation);
    }

    private async Task<AuditReport> VerifyHeadsAsync(
        long after, AuditHead newest, (long Number, byte[] Hash)? shipped, CancellationToken cancellation)
    {
        var began = Stopwatch.GetTimestamp();
        var (number, looked) = (after, 0L);
        var previous = after == 0 ? [] : (await ReadHeadsAsync(after - 1, 1, cancellation)).SingleOrDefault()?.Hash ?? [];
        if (after == 0 && shipped is { } known && !await HoldsAsync(known, cancellation))
        {
            return AuditReport.Of(new AuditFault(AuditFindingKind.RolledBack, 0, 0, "the database does not hold the head that was shipped", known.Number));
        }

        while (Stopwatch.GetElapsedTime(began) < LongestLook)
        {
            var slice = await ReadHeadsAsync(number, HeadSlice, cancellation);
            foreach (var head in slice)
            {
                if (FindFault(head, number + 1, previous) is { } fault)
                {
                    return AuditReport.Of(fault) with { Heads = looked };
                }

                (number, previous, looked) = (head.Number, head.Hash, looked + 1);
            }

            if (slice.Count < HeadSlice)
            {
                return number < newest.Number
                    ? AuditReport.Of(new AuditFault(AuditFindingKind.HeadForged, 0, 0, "the head is missing", number + 1))
                    : new AuditReport(0, looked, (1, 0), null);
            }
        }

        return new AuditReport(0, looked, (0, number), null);
    }

    private static AuditFault? FindFault(AuditHead head, long expected, byte[] previous)
    {
        if (head.Number != expected)
        {
            return new AuditFault(AuditFindingKind.HeadForged, 0, 0, "the head is missing", expected);
        }

        return head.Hash.AsSpan().SequenceEqual(AuditHead.HashOf(head.Content)) && head.Read() is var said && said.Number == expected
            && said.Previous == Convert.ToHexStringLower(previous)
            ? null
            : new AuditFault(AuditFindingKind.HeadForged, 0, 0, "the head does not follow the one before it", expected);
    }

    private Task<List<AuditHead>> ReadHeadsAsync(long after, int count, CancellationToken cancellation) => store.ReadAsync(
        (db, stop) => db.AuditHeads.AsNoTracking().Where(h => h.Number > after).OrderBy(h => h.Number).Take(count).ToListAsync(stop), cancellation, Deadline);

    private async Task<bool> HoldsAsync((long Number, byte[] Hash) shipped, CancellationToken cancellation) =>
        await store.ReadAsync((db, stop) => db.AuditHeads.Where(h => h.Number == shipped.Number).Select(h => h.Hash).SingleOrDefaultAsync(stop), cancellation)
            is { } hash && hash.AsSpan().SequenceEqual(shipped.Hash);

    private async Task<AuditReport> VerifyChainsAsync(AuditSnapshot snapshot, int chain, long position, CancellationToken cancellation)
    {
        if (snapshot.FindForgedChain() is { } forged)
        {
            return AuditReport.Of(forged);
        }

        var began = Stopwatch.GetTimestamp();
        var before = position == 0 ? null : new ChainLink(position, await ReadHashAsync(chain, position, cancellation));
        // From before the first: a made-up chain may have any id.
        var check = new ChainCheck(snapshot.Claims(), (chain, position) == (1, 0) ? int.MinValue : chain, before);
        for (var looked = 0L; ;)
        {
            var slice = await records.ReadAsync(check.Place.Chain, check.Place.Position, cancellation);
            looked += slice.Count;
            var found = check.Check(slice) ?? (slice.Count < StoredLinks.Slice ? check.End() : null) ?? check.FindMadeUp(await ReadChainsAsync(cancellation));
            if (found is not null || slice.Count < StoredLinks.Slice)
            {
                return new AuditReport(looked, 0, null, found);
            }

            if (Stopwatch.GetElapsedTime(began) > LongestLook)
            {
                return new AuditReport(looked, 0, check.Place, null);
            }
        }
    }

    private Task<List<int>> ReadChainsAsync(CancellationToken cancellation) =>
        store.ReadAsync((db, stop) => db.AuditChains.Select(c => c.Id).ToListAsync(stop), cancellation, Deadline);

    private Task<byte[]> ReadHashAsync(int chain, long position, CancellationToken cancellation) => store.ReadAsync(
        async (db, stop) => await db.AuditRecords.Where(r => r.ChainId == chain && r.Position == position).Select(r => r.Hash).FirstOrDefaultAsync(stop) ?? [],
        cancellation);
}

/// <summary>What one call has looked at.</summary>
/// <param name="Records">How many.</param>
/// <param name="Heads">How many.</param>
/// <param name="Next">Where to go on; null: all was looked at, or something was found.</param>
/// <param name="Fault">The first thing that is wrong.</param>
internal sealed record AuditReport(long Records, long Heads, (int Chain, long Position)? Next, AuditFault? Fault)
{
    public static AuditReport Of(AuditFault fault) => new(0, 0, null, fault);
}
