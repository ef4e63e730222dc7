using System.Collections.Concurrent;
using System.Collections.Frozen;
using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Options;
using OtpAuthService.Hosting;
using OtpAuthService.Storage;
using OtpAuthService.Telemetry;

namespace OtpAuthService.Keys;

/// <summary>
/// The data keys in the clear. Each is unwrapped anew at half its age; while the KEK provider cannot be reached it may still be used up to its
/// whole age, and then it is zeroed: whoever takes the KEK away stops the service within that time.
/// </summary>
internal sealed class DataKeys(OtpStore store, IKekProvider kek, IOptions<OtpAuthOptions> options, TimeProvider time, ILogger<DataKeys> log) : IDisposable
{
    /// <summary>A call that needs a key which is not open waits so long; a provider that hangs takes longer. It is to be answered within a second (promise P3).</summary>
    private static readonly TimeSpan LongestWait = TimeSpan.FromMilliseconds(700);

    private readonly SemaphoreSlim changing = new(1);
    private readonly Lock joining = new();
    private readonly ConcurrentDictionary<int, bool> replaced = [];
    private volatile FrozenDictionary<int, OpenDataKey> open = FrozenDictionary<int, OpenDataKey>.Empty;
    private Task<bool> joined = Task.FromResult(true);
    private PinnedKey? serviceKey;

    /// <summary>Whether the KEK provider did what it was asked last.</summary>
    public bool IsKekReachable { get; private set; } = true;

    /// <summary>Whether there is any to open credentials with.</summary>
    public bool AreOpen => open.Count > 0;

    /// <summary>The one that wraps now.</summary>
    public int Newest => open.Count > 0 ? open.Keys.Max() : throw KeysUnavailable();

    /// <summary>Those that are to be replaced by the newest wherever they wrap something.</summary>
    public List<int> Outdated => [.. open.Keys.Order().SkipLast(1)];

    /// <summary>Opens all of them at start, and makes the first ones in a new database.</summary>
    /// <exception cref="CryptographicException">The KEK is not the one that wrapped them.</exception>
    /// <exception cref="KekUnavailableException">The KEK provider cannot be reached.</exception>
    public async Task OpenAsync(OtpDbContext db, CancellationToken stop)
    {
        if (!await db.DataKeys.AnyAsync(stop))
        {
            await FirstDataKeys.MakeAsync(db, kek, time.GetUtcNow(), stop);
        }

        var opened = new Dictionary<int, OpenDataKey>();
        foreach (var row in await db.DataKeys.AsNoTracking().ToListAsync(stop))
        {
            var key = await kek.OpenAsync(row, stop);
            if (row.Use == DataKeyUse.Service)
            {
                serviceKey = key;
            }
            else
            {
                opened.Add(row.Version, new OpenDataKey(key, time.GetUtcNow()));
            }
        }

        open = opened.ToFrozenDictionary();
    }

    /// <summary>Sees what rotations on other replicas have changed, and unwraps anew what has reached half its age.</summary>
    /// <returns>False where one that is in use could not be kept.</returns>
    public async Task<bool> RefreshAsync(CancellationToken stop)
    {
        await changing.WaitAsync(stop);
        try
        {
            ForgetTooOld();
            var rows = await store.ReadAsync(
                (db, deadline) => db.DataKeys.AsNoTracking().Where(k => k.Use == DataKeyUse.Credentials).ToListAsync(deadline), stop);
            var before = open;
            var after = new Dictionary<int, OpenDataKey>();
            foreach (var row in rows)
            {
                if (await KeepAsync(row, before.GetValueOrDefault(row.Version), stop) is { } key)
                {
                    after.Add(row.Version, key);
                }
            }

            foreach (var gone in before.Keys.Except(rows.Select(row => row.Version)))
            {
                replaced[gone] = true;
            }

            Replace(before, after);
            return after.Count == rows.Count;
        }
        finally
        {
            changing.Release();
        }
    }

    /// <summary>The key that wraps now. The caller lets go of it.</summary>
    /// <inheritdoc cref="HoldAsync" path="/exception"/>
    public async ValueTask<(int Version, PinnedKey Key)> HoldNewestAsync(CancellationToken stop)
    {
        if (open.Count == 0)
        {
            await JoinRefreshAsync(stop);
        }

        var version = Newest;
        return (version, await HoldAsync(version, stop));
    }

    /// <summary>A key by its version. The caller lets go of it.</summary>
    /// <exception cref="KekUnavailableException">It is not in memory any more, and the KEK provider cannot be reached.</exception>
    /// <exception cref="StoreUnavailableException">It was replaced meanwhile: what it wrapped is to be read again.</exception>
    /// <exception cref="StoredKeyException">There never was such a key.</exception>
    public async ValueTask<PinnedKey> HoldAsync(int version, CancellationToken stop)
    {
        // The first refresh may have begun before the key was made; the second has not.
        for (var refreshes = 0; ; refreshes++)
        {
            if (TryHold(version, out var key))
            {
                return key;
            }

            if (replaced.ContainsKey(version))
            {
                throw new StoreUnavailableException($"data key {version} was replaced");
            }

            if (refreshes == 2)
            {
                throw open.ContainsKey(version) ? KeysUnavailable() : new StoredKeyException();
            }

            if (!await JoinRefreshAsync(stop) && !open.ContainsKey(version))
            {
                throw KeysUnavailable();
            }
        }
    }

    /// <summary>
    /// A key for another use, derived from the service key (HKDF, RFC 5869): the same on every replica, whatever becomes of KEKs and data keys.
    /// </summary>
    public byte[] Derive(string use)
    {
        var key = serviceKey ?? throw new InvalidOperationException("The data keys are not open yet.");
        var derived = new byte[DataKey.SizeInBytes];
        HKDF.DeriveKey(HashAlgorithmName.SHA256, key.Bytes, derived, salt: [], info: Encoding.UTF8.GetBytes(use));
        return derived;
    }

    public void Dispose()
    {
        changing.Dispose();
        serviceKey?.Dispose();
        foreach (var key in open.Values)
        {
            key.Key.Dispose();
        }
    }

    /// <summary>
    /// One refresh for all calls that need one: they would wait for the provider one after the other.
    /// </summary>
    /// <inheritdoc cref="RefreshAsync" path="/returns"/>
    private async Task<bool> JoinRefreshAsync(CancellationToken stop)
    {
        Task<bool> refreshing;
        lock (joining)
        {
            if (joined.IsCompleted)
            {
                joined = Task.Run(() => RefreshAsync(CancellationToken.None), CancellationToken.None);
            }

            refreshing = joined;
        }

        try
        {
            return await refreshing.WaitAsync(LongestWait, stop);
        }
        catch (TimeoutException)
        {
            throw KeysUnavailable();
        }
    }

    /// <summary>Whether or not the database tells anything.</summary>
    private void ForgetTooOld()
    {
        var before = open;
        Replace(before, before.Where(k => !IsOlderThan(k.Value, options.Value.DataKeyAge)).ToDictionary());
    }

    private void Replace(FrozenDictionary<int, OpenDataKey> before, Dictionary<int, OpenDataKey> after)
    {
        open = after.ToFrozenDictionary();
        foreach (var gone in before.Values.Except(after.Values))
        {
            gone.Key.Dispose();
        }
    }

    private bool TryHold(int version, [NotNullWhen(true)] out PinnedKey? key)
    {
        key = null;
        if (!open.TryGetValue(version, out var known) || IsOlderThan(known, options.Value.DataKeyAge) || !known.Key.TryHold())
        {
            return false;
        }

        key = known.Key;
        return true;
    }

    private async Task<OpenDataKey?> KeepAsync(DataKey row, OpenDataKey? known, CancellationToken stop)
    {
        if (known is not null && !IsOlderThan(known, options.Value.DataKeyAge / 2))
        {
            return known;
        }

        try
        {
            var opened = new OpenDataKey(await kek.OpenAsync(row, stop), time.GetUtcNow());
            Report(well: true, row, "");
            return opened;
        }
        catch (Exception failure) when (failure is KekUnavailableException or CryptographicException)
        {
            Report(well: false, row, failure.Message);
            return known is null || IsOlderThan(known, options.Value.DataKeyAge) ? null : known;
        }
    }

    private bool IsOlderThan(OpenDataKey key, TimeSpan age) => time.GetUtcNow() - key.OpenedAt >= age;

    private void Report(bool well, DataKey row, string problem)
    {
        if (well == IsKekReachable)
        {
            return;
        }

        IsKekReachable = well;
        if (well)
        {
            log.KekWell();
        }
        else
        {
            log.KekUnavailable(row.Version, row.KekVersion, problem);
        }
    }

    private static KekUnavailableException KeysUnavailable() => new("the keys that protect credentials cannot be opened");

    private sealed record OpenDataKey(PinnedKey Key, DateTimeOffset OpenedAt);
}

/// <summary>Ready while credentials can be opened.</summary>
internal sealed class KeysHealthCheck(DataKeys dataKeys) : IHealthCheck
{
    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) =>
        Task.FromResult(dataKeys.AreOpen ? HealthCheckResult.Healthy() : HealthCheckResult.Unhealthy("the keys that protect credentials cannot be opened"));
}
