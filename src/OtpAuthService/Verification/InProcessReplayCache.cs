using System.Collections.Concurrent;

namespace OtpAuthService.Verification;

/// <summary>The replay cache of a single process: what the embedded default has in the place of Redis.</summary>
internal sealed class InProcessReplayCache(TimeProvider time) : IReplayCache
{
    /// <summary>Some 100 bytes each: the bound keeps the cache below 10 MB, whatever is thrown at it.</summary>
    private const int MaxEntries = 100_000;

    private readonly ConcurrentDictionary<long, Entry> used = new();

    public bool IsDegraded => false;

    public bool IsBreakerOpen => false;

    public ValueTask AskAsync(IReadOnlyList<CheckedOtp> otps)
    {
        var now = time.GetUtcNow();
        foreach (var otp in otps)
        {
            otp.KnownUsed = used.TryGetValue(otp.Credential.Id, out var entry) && entry.Until > now ? entry.Step : null;
        }

        return ValueTask.CompletedTask;
    }

    public void Remember(IReadOnlyList<CheckedOtp> claimed)
    {
        var now = time.GetUtcNow();
        if (used.Count >= MaxEntries)
        {
            Forget(now);
        }

        foreach (var otp in claimed)
        {
            var entry = new Entry(otp.Step!.Value, now + otp.Lifetime);
            used.AddOrUpdate(otp.Credential.Id, static (_, e) => e, static (_, old, e) => e.Step > old.Step ? e : old, entry);
        }
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
