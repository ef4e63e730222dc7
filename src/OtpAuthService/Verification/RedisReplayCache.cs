using OtpAuthService.Credentials;
using OtpAuthService.Telemetry;
using Polly;
using Polly.CircuitBreaker;
using StackExchange.Redis;

namespace OtpAuthService.Verification;

/// <summary>
/// The replay cache shared by all replicas. Key <c>otp:{deployment:credential row}:used</c>, value the highest used time step. It holds no
/// credential id (promise P7); the first part comes from the KEK, so that two services on one Redis do not take each other's rows for
/// theirs; the braces are the hash tag that keeps whatever is added for a credential in one slot of a Cluster.
/// </summary>
internal sealed class RedisReplayCache : IReplayCache
{
    /// <summary>A slow Redis may cost a batch this much before it is decided without Redis.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(20);

    /// <summary>
    /// Raises each value and never lowers it: replicas' notices may arrive in any order. What cannot be a step gives way. KEYS are
    /// credentials; ARGV holds for each its step and, in milliseconds, how long an OTP of that step can still be submitted: from when it is
    /// first the last of the window until it was the first of it, and one period more for replicas whose clocks differ
    /// (<see cref="AcceptanceWindow.Lifetime"/>).
    /// </summary>
    private const string RaiseScript =
        """
        for i, key in ipairs(KEYS) do
            local known = tonumber(redis.call('GET', key))
            if not known or known < tonumber(ARGV[2 * i - 1]) or known > 2147483647 then
                redis.call('SET', key, ARGV[2 * i - 1], 'PX', ARGV[2 * i])
            end
        end
        """;

    private readonly IConnectionMultiplexer redis;
    private readonly string deployment;
    private readonly ResiliencePipeline pipeline;
    private readonly CircuitBreakerStateProvider breaker = new();

    public RedisReplayCache(IConnectionMultiplexer redis, Kek kek, ILogger<RedisReplayCache> log)
    {
        this.redis = redis;
        deployment = Convert.ToHexStringLower(kek.Derive("otpauth.v1 replay cache key").AsSpan(0, 8));
        pipeline = new ResiliencePipelineBuilder()
            .AddCircuitBreaker(new CircuitBreakerStrategyOptions
            {
                FailureRatio = 0.5,
                MinimumThroughput = 4,
                SamplingDuration = TimeSpan.FromSeconds(2),
                BreakDuration = TimeSpan.FromSeconds(1),
                StateProvider = breaker,
                ShouldHandle = new PredicateBuilder().Handle<RedisException>().Handle<TimeoutException>().Handle<ObjectDisposedException>(),
                OnOpened = opened =>
                {
                    log.ReplayCacheLost(opened.Outcome.Exception?.Message ?? "no answer in time");
                    return default;
                },
                OnClosed = _ =>
                {
                    log.ReplayCacheBack();
                    return default;
                },
            })
            .Build();
    }

    /// <summary>Several masters; asked again and again, for the first connection may come late.</summary>
    private bool IsCluster => redis.GetServers().Any(server => server is { IsConnected: true, ServerType: ServerType.Cluster });

    public bool IsDegraded => !redis.IsConnected || breaker.CircuitState != CircuitState.Closed;

    public async ValueTask AskAsync(IReadOnlyList<CheckedOtp> otps)
    {
        try
        {
            await pipeline.ExecuteAsync(
                static async (call, _) => await Task.WhenAll(call.Cache.BySlot(call.Otps).Select(call.Cache.AskSlotAsync)).WaitAsync(Patience, CancellationToken.None),
                (Cache: this, Otps: otps));
        }
        catch (Exception unknown) when (IsExpected(unknown))
        {
            // Without Redis the database decides alone.
        }
    }

    public void Remember(IReadOnlyList<CheckedOtp> claimed)
    {
        if (claimed.Count == 0 || breaker.CircuitState == CircuitState.Open)
        {
            // Nothing to tell, or to a hung server, where notices would only pile up in memory.
            return;
        }

        try
        {
            foreach (var slot in BySlot(claimed))
            {
                _ = redis.GetDatabase().ScriptEvaluateAsync(RaiseScript, Keys(slot), StepsAndLifetimes(slot), CommandFlags.FireAndForget);
            }
        }
        catch (Exception lost) when (IsExpected(lost))
        {
            // Best effort: the database knows, and the breaker counts the next question.
        }
    }

    /// <summary>One command for all, but in a Cluster, where a command takes the keys of one slot only, one for each.</summary>
    private IEnumerable<IReadOnlyList<CheckedOtp>> BySlot(IReadOnlyList<CheckedOtp> otps) =>
        IsCluster ? otps.GroupBy(otp => otp.Credential.Id, (_, same) => same.ToList()) : [otps];

    private async Task AskSlotAsync(IReadOnlyList<CheckedOtp> otps)
    {
        var known = await redis.GetDatabase().StringGetAsync(Keys(otps));
        for (var i = 0; i < known.Length; i++)
        {
            // A foreign hand may have left anything there: 2³¹ periods, the year 4000, is no step, and times are not to be reckoned from it.
            otps[i].KnownUsed = known[i].TryParse(out long step) && step is >= 0 and <= int.MaxValue ? new TimeStep(step) : null;
        }
    }

    private RedisKey[] Keys(IReadOnlyList<CheckedOtp> otps)
    {
        var keys = new RedisKey[otps.Count];
        for (var i = 0; i < keys.Length; i++)
        {
            keys[i] = $"otp:{{{deployment}:{otps[i].Credential.Id}}}:used";
        }

        return keys;
    }

    private static RedisValue[] StepsAndLifetimes(IReadOnlyList<CheckedOtp> otps)
    {
        var values = new RedisValue[2 * otps.Count];
        for (var i = 0; i < otps.Count; i++)
        {
            values[2 * i] = otps[i].Step!.Value.Value;
            values[(2 * i) + 1] = (long)otps[i].Lifetime.TotalMilliseconds;
        }

        return values;
    }

    private static bool IsExpected(Exception error) => error is RedisException or TimeoutException or BrokenCircuitException or ObjectDisposedException;
}
