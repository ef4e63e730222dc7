using System.Diagnostics;
using System.Security.Cryptography;
using Microsoft.EntityFrameworkCore;
using OtpAuthService.Credentials;
using OtpAuthService.Storage;
using OtpAuthService.Telemetry;

namespace OtpAuthService.Keys;

/// <summary>
/// Keeps the data keys open, and after a rotation brings credentials under the newest, a few at a time beside the calls. It needs no memory of its own: what is
/// left to do is what the table says, so that it goes on after a crash, and on another replica. A data key that wraps nothing any more is removed.
/// </summary>
internal sealed class Rewrapping(
    OtpStore store, DataKeys dataKeys, KeyWrapping wrapping, CredentialKeyCache cache, TimeProvider time, ILogger<Rewrapping> log) : BackgroundService
{
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(1);

    /// <summary>Their rows are locked for one statement and its commit.</summary>
    private const int Slice = 100;

    /// <summary>For each moment of work so many of rest: calls come first.</summary>
    private const int Rest = 2;

    /// <summary>Longer than any replica takes to see a new data key: until then it may wrap under the one before.</summary>
    private static readonly TimeSpan Grace = TimeSpan.FromMinutes(1);

    /// <summary>Of PostgreSQL's advisory locks: one replica at a time, or they would wrap the same ones.</summary>
    public const long Turn = 0x6F74705F72657772;

    /// <summary>Of a table with millions of rows.</summary>
    private static readonly TimeSpan CountDeadline = TimeSpan.FromSeconds(30);

    /// <summary>Counting reads all that is left: not each time.</summary>
    private static readonly TimeSpan BetweenCounts = TimeSpan.FromSeconds(10);

    /// <summary>Stored keys that do not open are passed over; so many are no accident of single rows, and a reason to stop.</summary>
    private const int MostUnusable = 1_000;

    /// <summary>Rows of credentials whose key does not open, as they were met since the last count.</summary>
    private readonly List<long> unusable = [];

    /// <summary>It looks at every key in the cache.</summary>
    private static readonly TimeSpan BetweenTidying = TimeSpan.FromMinutes(1);

    private long tidied = Stopwatch.GetTimestamp();
    private long remaining;
    private int reported;
    private List<int> counted = [];
    private long countedAt;

    /// <summary>Credentials that are not under the newest data key, as they were counted last.</summary>
    public long Remaining => Interlocked.Read(ref remaining);

    // Real time, not TimeProvider: it paces work and decides nothing.
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Pause);
        using var stop = stoppingToken.Register(timer.Dispose);
        while (await timer.WaitForNextTickAsync(CancellationToken.None))
        {
            try
            {
                if (!await dataKeys.RefreshAsync(stoppingToken))
                {
                    cache.ForgetAll();
                }

                if (Stopwatch.GetElapsedTime(tidied) > BetweenTidying)
                {
                    cache.ForgetExpired();
                    tidied = Stopwatch.GetTimestamp();
                }

                await RewrapAsync(stoppingToken);
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
                log.RewrappingPostponed(postponed.Message);
            }
        }
    }

    private async Task RewrapAsync(CancellationToken stop)
    {
        if (dataKeys.Outdated is not { Count: > 0 } outdated)
        {
            Interlocked.Exchange(ref remaining, 0);
            counted = [];
            return;
        }

        await CountAsync(outdated, stop);
        for (var began = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(began) < Pause;)
        {
            var step = Stopwatch.GetTimestamp();
            if (await RewrapSliceAsync(outdated, stop) is not { } count)
            {
                // Another replica is at it.
                return;
            }

            if (count == 0)
            {
                ReportUnusable();
                await RemoveUnusedAsync(outdated, stop);
                return;
            }

            Interlocked.Exchange(ref remaining, Math.Max(1, Remaining - count));
            await Task.Delay(Rest * Stopwatch.GetElapsedTime(step), stop);
        }
    }

    private async Task CountAsync(List<int> outdated, CancellationToken stop)
    {
        if (outdated.SequenceEqual(counted) && Stopwatch.GetElapsedTime(countedAt) < BetweenCounts)
        {
            return;
        }

        // Tried again: what does not open may have been put right.
        unusable.Clear();
        Interlocked.Exchange(ref remaining, await store.ReadAsync(
            (db, deadline) => db.Credentials.LongCountAsync(c => outdated.Contains(c.KeyVersion), deadline), stop, CountDeadline));
        counted = outdated;
        countedAt = Stopwatch.GetTimestamp();
    }

    private void ReportUnusable()
    {
        Interlocked.Exchange(ref remaining, unusable.Count);
        if (unusable.Count > 0 && unusable.Count != reported)
        {
            log.StoredKeysLeft(unusable.Count);
        }

        reported = unusable.Count;
    }

    /// <returns>How many there were; null where it is another replica's turn.</returns>
    private Task<int?> RewrapSliceAsync(List<int> outdated, CancellationToken stop) => store.WriteAsync<int?>(
        async (db, deadline) =>
        {
            var postgres = db.Database.IsNpgsql();
            if (postgres && !await db.Database.SqlQuery<bool>($"SELECT pg_try_advisory_xact_lock({Turn}) AS \"Value\"").SingleAsync(deadline))
            {
                return null;
            }

            var slice = await db.Credentials.AsNoTracking().Where(c => outdated.Contains(c.KeyVersion) && !unusable.Contains(c.Id))
                .OrderBy(c => c.KeyVersion).Take(Slice)
                .Select(c => new Wrapped(c.Id, c.CredentialId, c.WrappedKey, c.KeyVersion, c.Algorithm)).ToListAsync(deadline);
            var anew = new List<Rewrapped>(slice.Count);
            // In the order of their rows, as claims lock them.
            foreach (var credential in slice.OrderBy(c => c.Id))
            {
                if (await TryWrapAsync(credential, deadline) is { } key)
                {
                    anew.Add(new Rewrapped(credential.Id, credential.Version, key));
                }
            }

            await (postgres ? WriteAtOnceAsync(db, anew, deadline) : WriteOneByOneAsync(db, anew, deadline));
            return slice.Count;
        },
        stop);

    /// <returns>Null where the stored key does not open: one row that somebody altered must not keep all others under the old key.</returns>
    private async ValueTask<WrappedKey?> TryWrapAsync(Wrapped credential, CancellationToken stop)
    {
        try
        {
            return await wrapping.WrapAnewAsync(credential.Key, credential.Version, credential.CredentialId, credential.Algorithm, stop);
        }
        catch (StoredKeyException) when (unusable.Count < MostUnusable)
        {
            unusable.Add(credential.Id);
            return null;
        }
    }

    /// <summary>One statement, so that the rows are locked for a moment only. A claim does not touch these columns, nor this one a claim's.</summary>
    private static Task<int> WriteAtOnceAsync(OtpDbContext db, List<Rewrapped> anew, CancellationToken stop) => db.Database.ExecuteSqlAsync(
        $"""
         UPDATE credentials AS c SET wrapped_key = i.wrapped_key, key_version = i.version
         FROM unnest({anew.Select(r => r.Id).ToArray()}, {anew.Select(r => r.From).ToArray()},
             {anew.Select(r => r.Key.Bytes).ToArray()}, {anew.Select(r => r.Key.Version).ToArray()}) AS i (id, outdated, wrapped_key, version)
         WHERE c.id = i.id AND c.key_version = i.outdated
         """,
        stop);

    private static async Task WriteOneByOneAsync(OtpDbContext db, List<Rewrapped> anew, CancellationToken stop)
    {
        foreach (var (id, from, key) in anew)
        {
            await db.Credentials.Where(c => c.Id == id && c.KeyVersion == from).ExecuteUpdateAsync(
                row => row.SetProperty(c => c.WrappedKey, key.Bytes).SetProperty(c => c.KeyVersion, key.Version), stop);
        }
    }

    /// <summary>A foreign key keeps one that wraps something after all.</summary>
    private async Task RemoveUnusedAsync(List<int> outdated, CancellationToken stop)
    {
        var before = time.GetUtcNow() - Grace;
        var removed = await store.WriteAsync(
            async (db, deadline) => await db.DataKeys.AnyAsync(k => k.Version > outdated.Max() && k.Use == DataKeyUse.Credentials && k.CreatedAt <= before, deadline)
                ? await db.DataKeys.Where(k => outdated.Contains(k.Version) && !db.Credentials.Any(c => c.KeyVersion == k.Version)).ExecuteDeleteAsync(deadline)
                : 0,
            stop);
        if (removed > 0)
        {
            log.DataKeysRemoved(removed);
            await dataKeys.RefreshAsync(stop);
        }
    }

    private sealed record Wrapped(long Id, CredentialId CredentialId, byte[] Key, int Version, Algorithm Algorithm);

    private sealed record Rewrapped(long Id, int From, WrappedKey Key);
}
