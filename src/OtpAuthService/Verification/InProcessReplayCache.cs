using System.Collections.Concurrent;
using OtpAuthService.Credentials;

namespace OtpAuthService.Verification;

/// <summary>The replay cache of a single process: what the embedded default has in the place of Redis.</summary>
internal sealed class InProcessReplayCache(TimeProvider time) : IReplayCache
{
    /// <summary>Some 100 bytes each: the bound keeps the cache below 10 MB, whatever is thrown at it.</summary>
    private const int MaxEntries = 100_000;

    private readonly ConcurrentDictionary<long, Entry> used = new();

    public bool IsDegraded => false;

    public ValueTask<bool> IsUsedAsync(Credential credential, TimeStep step) =>
        ValueTask.FromResult(used.TryGetValue(credential.Id, out var entry) && entry.Until > time.GetUtcNow() && entry.Step >= step);

    public void Remember(Credential credential, TimeStep step, TimeSpan lifetime)
    {
        var now = time.GetUtcNow();
        if (used.Count >= MaxEntries)
        {
            Forget(now);
        }

        var entry = new Entry(step, now + lifetime);
        used.AddOrUpdate(credential.Id, static (_, e) => e, static (_, old, e) => e.Step > old.Step ? e : old, entry);
    }

    /// <summary>Drops what has expired, or everything where nothing has: an empty cache costs a question to the database each.</summary>
    private void Forget(DateTimeOffset now)
    {
        foreach (var (credential, entry) in used)
        {
            if (entry.Until <= now)
            {
                used.TryRemove(credential, out _);
            }
        }

        if (used.Count >= MaxEntries)
        {
            used.Clear();
        }
    }

    private readonly record struct Entry(TimeStep Step, DateTimeOffset Until);
}
