using System.Diagnostics;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;
using OtpAuthService.Hosting;
using OtpAuthService.Storage;
using OtpAuthService.Telemetry;

namespace OtpAuthService.Audit;

/// <summary>
/// Signs how far the chains go, from time to time and where anything was added, and has the heads shipped. Whichever replica comes first does it. Before it
/// signs it looks whether the database still holds what the head before says: it never signs on top of something that was altered.
/// </summary>
internal sealed class AuditHeads(
    OtpStore store, HeadSigner signer, HeadShipment shipment, LostCommits lostCommits, IOptions<OtpAuthOptions> options, TimeProvider time, ILogger<AuditHeads> log) : BackgroundService
{
    /// <summary>Reads as many rows as there are chains; and the KEK provider may be on the other side of a network.</summary>
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(10);

    /// <summary>Partitions are made two months ahead.</summary>
    private static readonly TimeSpan BetweenPartitions = TimeSpan.FromHours(6);

    /// <summary>The newest head when this replica looked last.</summary>
    private long seen;

    private long checkedAt = Stopwatch.GetTimestamp();

    /// <summary>Whether the records were as the newest head says when this replica looked last.</summary>
    public bool AreIntact { get; private set; } = true;

    /// <summary>Since this replica last looked, and had heads shipped; since its start where it has not yet.</summary>
    public TimeSpan SinceChecked => Stopwatch.GetElapsedTime(Volatile.Read(ref checkedAt));

    /// <summary>Signs a head now, where anything was added since the last one.</summary>
    /// <returns>What is wrong, so that nothing was signed; null where all is well.</returns>
    /// <exception cref="KekUnavailableException">The KEK provider cannot be reached.</exception>
    public Task<AuditFault?> SignAsync(CancellationToken cancellation) => store.WriteAsync(
        async (db, stop) =>
        {
            var snapshot = await AuditSnapshot.ReadAsync(db, stop);
            var fault = snapshot.Head is { } head ? await signer.FindForgedAsync(head, stop) ?? await snapshot.FindFaultAsync(db, stop) : null;
            if (fault is null)
            {
                await SignAsync(db, snapshot, stop);
            }

            return fault;
        },
        cancellation,
        Deadline);

    /// <summary>Signs what a snapshot of the open transaction shows, whatever the head before says.</summary>
    /// <exception cref="KekUnavailableException">The KEK provider cannot be reached.</exception>
    public async Task SignAsync(OtpDbContext db, AuditSnapshot snapshot, CancellationToken stop)
    {
        if (await NextAsync(db, snapshot, stop) is { } next)
        {
            // A replica that signs the same number makes the transaction run again, on what that one has written.
            db.AuditHeads.Add(next);
            await db.SaveChangesAsync(stop);
        }
    }

    // Real time, not TimeProvider: it paces work and decides nothing.
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(options.Value.AuditHeadInterval);
        using var stop = stoppingToken.Register(timer.Dispose);
        var ensured = DateTimeOffset.MinValue;
        while (await timer.WaitForNextTickAsync(CancellationToken.None))
        {
            try
            {
                if (time.GetUtcNow() - ensured > BetweenPartitions)
                {
                    await EnsurePartitionsAsync(stoppingToken);
                    ensured = time.GetUtcNow();
                }

                var fault = await SignUnlessAnotherDidAsync(stoppingToken) ?? await shipment.ShipAsync(stoppingToken);
                Report(fault);
                Volatile.Write(ref checkedAt, Stopwatch.GetTimestamp());
                if (fault is { Kind: AuditFindingKind.RolledBack })
                {
                    await lostCommits.FenceAsync(stoppingToken);
                }
            }
            catch (StoreUnavailableException)
            {
                // The store's monitor tells of it.
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
                return;
            }
            catch (Exception postponed)
            {
                log.AuditHeadPostponed(postponed.Message);
            }
        }
    }

    /// <summary>One head per interval is enough, however many replicas there are.</summary>
    private async Task<AuditFault?> SignUnlessAnotherDidAsync(CancellationToken cancellation)
    {
        var newest = await ReadNewestAsync(cancellation);
        var fault = newest == seen ? await SignAsync(cancellation) : null;
        seen = newest == seen ? await ReadNewestAsync(cancellation) : newest;
        return fault;
    }

    private Task<long> ReadNewestAsync(CancellationToken cancellation) =>
        store.ReadAsync(async (db, stop) => await db.AuditHeads.MaxAsync(h => (long?)h.Number, stop) ?? 0, cancellation);

    private async Task EnsurePartitionsAsync(CancellationToken cancellation)
    {
        var now = time.GetUtcNow().ToUnixTimeMilliseconds();
        var made = await store.WriteAsync(
            async (db, stop) => !db.Database.IsNpgsql() || await db.Database.SqlQuery<bool>($"SELECT ensure_audit_partitions({now}) AS \"Value\"").SingleAsync(stop),
            cancellation,
            Deadline);
        if (!made)
        {
            log.AuditPartitionMissing();
        }
    }

    private void Report(AuditFault? fault)
    {
        if (fault is not null && AreIntact)
        {
            log.AuditBroken(fault.Kind.ToString(), fault.Chain, fault.Position, fault.Detail);
        }

        AreIntact = fault is null;
    }

    private async Task<AuditHead?> NextAsync(OtpDbContext db, AuditSnapshot snapshot, CancellationToken stop)
    {
        var now = time.GetUtcNow();
        var number = (snapshot.Head?.Number ?? 0) + 1;
        foreach (var (id, (link, at)) in snapshot.Ends)
        {
            if (now - at > 2 * AuditChains.LongestIdle)
            {
                var chain = snapshot.Chains[id];
                (chain.ClosedByHead, chain.ClosedPosition, chain.ClosedHash) = (number, link.Position, link.Hash);
                db.AuditChains.Attach(chain).Property(c => c.ClosedByHead).IsModified = true;
                db.Entry(chain).Property(c => c.ClosedPosition).IsModified = true;
                db.Entry(chain).Property(c => c.ClosedHash).IsModified = true;
            }
        }

        var content = ContentOf(snapshot, number, now);
        if (snapshot.Head?.Read() is { } before && before.Closed == content.Closed && before.Open.SequenceEqual(content.Open))
        {
            return null;
        }

        return await signer.SignAsync(content, now, stop);
    }

    private static AuditHeadContent ContentOf(AuditSnapshot snapshot, long number, DateTimeOffset now)
    {
        var open = snapshot.Chains.Values.Where(c => c.ClosedByHead is null).OrderBy(c => c.Id).Select(chain => new AuditChainEnd(
            chain.Id,
            Convert.ToHexStringLower(chain.Beginning),
            snapshot.Ends[chain.Id].Link.Position,
            Convert.ToHexStringLower(snapshot.Ends[chain.Id].Link.Hash),
            chain.RetiredPosition,
            Convert.ToHexStringLower(chain.RetiredHash ?? [])));
        return new AuditHeadContent(
            number,
            now.ToUnixTimeMilliseconds(),
            Convert.ToHexStringLower(snapshot.Head?.Hash ?? []),
            [.. open],
            AuditHeadContent.DigestOfClosed(snapshot.Closed));
    }
}
