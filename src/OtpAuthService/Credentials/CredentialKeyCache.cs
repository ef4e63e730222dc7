using System.Diagnostics.CodeAnalysis;
using BitFaster.Caching;
using BitFaster.Caching.Lru;
using Microsoft.Extensions.Options;
using OtpAuthService.Bindings;
using OtpAuthService.Hosting;

namespace OtpAuthService.Credentials;

/// <summary>
/// The keys of contractors who have logged in lately, so that a Verify starts without reading the database. It may be out of date: every
/// decision checks the binding and the credential's epoch in the database, and nothing but an expectation comes from here. That a
/// contractor has no binding is never remembered.
/// </summary>
internal sealed class CredentialKeyCache(IOptions<OtpAuthOptions> options)
{
    // The library's clock is the machine's: an entry's age limits how long a key lies in memory, and decides nothing.
    private readonly ICache<ContractorRef, BoundKey> keys = new ConcurrentLruBuilder<ContractorRef, BoundKey>()
        .WithCapacity(options.Value.KeyCacheEntries)
        .WithExpireAfterWrite(options.Value.KeyCacheAge)
        .WithMetrics()
        .Build();

    public int Count => keys.Count;

    /// <summary>Found, since the start.</summary>
    public long Hits => keys.Metrics.Value!.Hits;

    /// <summary>Looked for in vain, since the start.</summary>
    public long Misses => keys.Metrics.Value!.Misses;

    /// <summary>The caller lets go of the key.</summary>
    public bool TryGet(ContractorRef contractor, [NotNullWhen(true)] out BoundKey? key) =>
        keys.TryGet(contractor, out key) && key.Credential.Key.TryHold();

    /// <summary>Keeps a hold of its own, and lets go where it forgets.</summary>
    public void Keep(ContractorRef contractor, BoundKey key)
    {
        if (key.Credential.Key.TryHold())
        {
            keys.AddOrUpdate(contractor, key);
        }
    }

    public void Forget(ContractorRef contractor) => keys.TryRemove(contractor);

    public void ForgetAll() => keys.Clear();

    /// <summary>What has reached its age: without this, a key that nobody asks for again would stay until others need its place.</summary>
    public void ForgetExpired() => keys.Policy.ExpireAfterWrite.Value!.TrimExpired();
}

/// <summary>What an active binding had as its credential when it was read.</summary>
/// <param name="Binding">The binding's row.</param>
/// <param name="Credential">The credential with its key.</param>
internal sealed record BoundKey(long Binding, KeyedCredential Credential) : IDisposable
{
    /// <summary>The cache lets go of the key.</summary>
    public void Dispose() => Credential.Key.Dispose();
}
