using System.Collections.Concurrent;
using System.Threading.RateLimiting;
using OtpAuthService.Institutions;

namespace OtpAuthService.Callers;

/// <summary>How often callers may call, by this replica's own count: a bound on what one caller can take from the others.</summary>
internal sealed class CallRates : IDisposable
{
    /// <summary>A minute of bypasses is counted in pieces of five seconds.</summary>
    private const int Segments = 12;

    // Under the limit as well: a changed one begins anew. As many as there are callers and limits in the callers' file.
    private readonly ConcurrentDictionary<(string Caller, int PerSecond), RateLimiter> calls = new();
    private readonly ConcurrentDictionary<(string Caller, InstitutionId Institution, int PerMinute), RateLimiter> bypasses = new();

    /// <summary>Counts a call.</summary>
    /// <exception cref="RateExceededException">There were too many.</exception>
    public void CountCall(Caller caller)
    {
        if (caller.CallsPerSecond is { } perSecond)
        {
            Count(calls.GetOrAdd((caller.Id, perSecond), static key => new TokenBucketRateLimiter(new TokenBucketRateLimiterOptions
            {
                TokenLimit = key.PerSecond,
                TokensPerPeriod = Math.Max(1, key.PerSecond / 10),
                ReplenishmentPeriod = TimeSpan.FromSeconds(Math.Max(1, key.PerSecond / 10) / (double)key.PerSecond),
            })));
        }
    }

    /// <summary>Counts a bypass.</summary>
    /// <inheritdoc cref="CountCall" path="/exception"/>
    public void CountBypass(Caller caller, InstitutionId institution, BypassGrant grant) =>
        Count(bypasses.GetOrAdd((caller.Id, institution, grant.PerMinute), static key => new SlidingWindowRateLimiter(
            new SlidingWindowRateLimiterOptions { PermitLimit = key.PerMinute, Window = TimeSpan.FromMinutes(1), SegmentsPerWindow = Segments })));

    public void Dispose()
    {
        foreach (var limiter in calls.Values.Concat(bypasses.Values))
        {
            limiter.Dispose();
        }
    }

    private static void Count(RateLimiter limiter)
    {
        using var lease = limiter.AttemptAcquire();
        if (!lease.IsAcquired)
        {
            throw new RateExceededException(lease.TryGetMetadata(MetadataName.RetryAfter, out var after) ? after : TimeSpan.FromSeconds(1));
        }
    }
}

/// <summary>The caller calls more often than it may. Nothing was decided or counted.</summary>
internal sealed class RateExceededException(TimeSpan retryAfter) : Exception("the caller calls more often than it may; nothing was decided")
{
    public TimeSpan RetryAfter => retryAfter;
}
