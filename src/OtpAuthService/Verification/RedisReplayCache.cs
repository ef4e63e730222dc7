using System.Security.Cryptography;
using System.Text;
using OtpAuthService.Credentials;
using OtpAuthService.Telemetry;
using Polly;
using Polly.CircuitBreaker;
using StackExchange.Redis;

namespace OtpAuthService.Verification;

/// <summary>
/// The replay cache shared by all replicas. Key <c>otp:{digest}:used</c>, value the highest used time step. The digest is keyed, so that
/// Redis holds no credential id (promise P7); its braces are the hash tag that keeps whatever is added for a credential in one slot of a
/// Cluster.
/// </summary>
internal sealed class RedisReplayCache : IReplayCache
{
    /// <summary>A slow Redis may cost a call this much before it is answered without Redis.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(20);

    /// <summary>Raises the value and never lowers it: replicas' notices may arrive in any order.</summary>
    private const string RaiseScript =
        """
        local known = redis.call('GET', KEYS[1])
        if not known or tonumber(known) < tonumber(ARGV[1]) then
            redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
        end
        """;

    private readonly IConnectionMultiplexer redis;
    private readonly byte[] digestKey;
    private readonly ResiliencePipeline pipeline;
    private readonly CircuitBreakerStateProvider breaker = new();

    public RedisReplayCache(IConnectionMultiplexer redis, Kek kek, ILogger<RedisReplayCache> log)
    {
        this.redis = redis;
        digestKey = kek.Derive("otpauth.v1 replay cache key");
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

    public bool IsDegraded => !redis.IsConnected || breaker.CircuitState != CircuitState.Closed;

    public async ValueTask<bool> IsUsedAsync(Credential credential, TimeStep step)
    {
        try
        {
            var known = await pipeline.ExecuteAsync(
                async _ => await redis.GetDatabase().StringGetAsync(Key(credential)).WaitAsync(Patience, CancellationToken.None));
            return known.TryParse(out long used) && used >= step.Value;
        }
        catch (Exception unknown) when (IsExpected(unknown))
        {
            return false;
        }
    }

    public void Remember(Credential credential, TimeStep step, TimeSpan lifetime)
    {
        if (breaker.CircuitState == CircuitState.Open)
        {
            // Notices to a hung server would only pile up in memory.
            return;
        }

        try
        {
            _ = redis.GetDatabase().ScriptEvaluateAsync(
                RaiseScript, [Key(credential)], [step.Value, (long)lifetime.TotalMilliseconds], CommandFlags.FireAndForget);
        }
        catch (Exception lost) when (IsExpected(lost))
        {
            // Best effort: the database knows, and the breaker counts the next question.
        }
    }

    private RedisKey Key(Credential credential)
    {
        Span<byte> digest = stackalloc byte[HMACSHA256.HashSizeInBytes];
        HMACSHA256.HashData(digestKey, Encoding.ASCII.GetBytes(credential.CredentialId.Value), digest);
        return $"otp:{{{Convert.ToHexStringLower(digest[..16])}}}:used";
    }


    private static bool IsExpected(Exception error) => error is RedisException or TimeoutException or BrokenCircuitException or ObjectDisposedException;
}
