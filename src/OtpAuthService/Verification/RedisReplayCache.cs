using System.Buffers.Binary;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using OtpAuthService.Credentials;
using OtpAuthService.Keys;
using OtpAuthService.Telemetry;
using Polly;
using Polly.CircuitBreaker;
using StackExchange.Redis;

namespace OtpAuthService.Verification;

/// <summary>
/// The replay cache shared by all replicas: for each time step the set of the credentials that have used it. Key
/// <c>otp:{deployment:period:step}:used</c>; a member is 16 bytes of an HMAC over the credential's row. Whoever reads it learns of no credential or
/// contractor (promise P7), and whoever writes to it cannot choose whom to refuse. Both parts come from the service key, so that two services on one
/// Redis do not take each other's for theirs. The braces are the hash tag that keeps whatever is added for a step in one slot of a
/// Cluster; every command here names one key. A foreign hand may leave there what it likes: a member is a refusal, anything else is nothing.
/// </summary>
internal sealed class RedisReplayCache : IReplayCache
{
    /// <summary>A slow Redis may cost a batch this much before it is decided without Redis.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(20);

    /// <summary>
    /// Adds credentials (ARGV from 2) to the set of a step, which is kept as long as any of them asks for: ARGV 1, milliseconds, how long an OTP
    /// of the step can still be submitted (<see cref="AcceptanceWindow.Lifetime"/>).
    /// </summary>
    private const string AddScript =
        """
        redis.call('SADD', KEYS[1], unpack(ARGV, 2))
        if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then
            redis.call('PEXPIRE', KEYS[1], ARGV[1])
        end
        """;

    private readonly IConnectionMultiplexer redis;
    private readonly Lazy<string> deployment;
    private readonly Lazy<byte[]> memberKey;
    private readonly Instruments instruments;
    private readonly ResiliencePipeline pipeline;
    private readonly CircuitBreakerStateProvider breaker = new();

    public RedisReplayCache(IConnectionMultiplexer redis, DataKeys dataKeys, Instruments instruments, ILogger<RedisReplayCache> log)
    {
        this.redis = redis;
        this.instruments = instruments;
        deployment = new Lazy<string>(() => Convert.ToHexStringLower(dataKeys.Derive("otpauth.v1 replay cache key").AsSpan(0, 8)));
        memberKey = new Lazy<byte[]>(() => dataKeys.Derive("otpauth.v1 replay cache member"));
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

    public bool IsDegraded => !redis.IsConnected || IsBreakerOpen;

    public bool IsBreakerOpen => breaker.CircuitState != CircuitState.Closed;

    public async ValueTask AskAsync(IReadOnlyList<CheckedOtp> otps)
    {
        try
        {
            var steps = BySteps(otps);
            var answers = await pipeline.ExecuteAsync(
                static async (call, _) => await call.Cache.AskAsync(call.Steps),
                (Cache: this, Steps: steps));
            foreach (var ((step, asking), used) in steps.Zip(answers))
            {
                for (var i = 0; i < used.Length; i++)
                {
                    if (used[i] && !(asking[i].KnownUsed >= step.Step))
                    {
                        asking[i].KnownUsed = step.Step;
                    }
                }
            }
        }
        catch (Exception unknown) when (IsExpected(unknown))
        {
            // Without Redis the database decides alone.
        }
    }

    public void Remember(IReadOnlyList<CheckedOtp> claimed)
    {
        if (breaker.CircuitState == CircuitState.Open)
        {
            // A hung server, where notices would only pile up in memory.
            return;
        }

        try
        {
            foreach (var step in claimed.GroupBy(otp => (otp.Credential.PeriodSeconds, otp.Step!.Value)))
            {
                var lifetime = (long)step.Max(otp => otp.Lifetime).TotalMilliseconds;
                RedisValue[] arguments = [lifetime, .. step.Select(otp => MemberOf(otp.Credential))];
                _ = redis.GetDatabase().ScriptEvaluateAsync(AddScript, [KeyOf(step.Key)], arguments, CommandFlags.FireAndForget);
            }
        }
        catch (Exception lost) when (IsExpected(lost))
        {
            // Best effort: the database knows, and the breaker counts the next question.
        }
    }

    /// <summary>
    /// One question for each step that is asked about: has the credential used the submitted step, or a later one of its window? Two or three
    /// steps, however many OTPs they are, for most are of the same ones.
    /// </summary>
    private static Dictionary<(int Period, TimeStep Step), List<CheckedOtp>> BySteps(IReadOnlyList<CheckedOtp> otps)
    {
        var steps = new Dictionary<(int Period, TimeStep Step), List<CheckedOtp>>();
        foreach (var otp in otps)
        {
            for (var step = otp.Step!.Value; step <= otp.Window.Last; step = step.Plus(1))
            {
                (CollectionsMarshal.GetValueRefOrAddDefault(steps, (otp.Credential.PeriodSeconds, step), out _) ??= []).Add(otp);
            }
        }

        return steps;
    }

    private async Task<bool[][]> AskAsync(Dictionary<(int Period, TimeStep Step), List<CheckedOtp>> steps)
    {
        var (began, answered) = (Stopwatch.GetTimestamp(), false);
        try
        {
            var answers = await Task.WhenAll(steps.Select(AskAsync)).WaitAsync(Patience, CancellationToken.None);
            answered = true;
            return answers;
        }
        finally
        {
            instruments.ReplayCacheAsked(answered, Stopwatch.GetElapsedTime(began));
        }
    }

    private Task<bool[]> AskAsync(KeyValuePair<(int Period, TimeStep Step), List<CheckedOtp>> step) =>
        redis.GetDatabase().SetContainsAsync(KeyOf(step.Key), [.. step.Value.Select(otp => MemberOf(otp.Credential))]);

    private RedisKey KeyOf((int Period, TimeStep Step) step) => $"otp:{{{deployment.Value}:{step.Period}:{step.Step.Value}}}:used";

    private RedisValue MemberOf(KeyedCredential credential)
    {
        if (credential.ReplayMember is not { } member)
        {
            Span<byte> row = stackalloc byte[sizeof(long)];
            BinaryPrimitives.WriteInt64BigEndian(row, credential.Id);
            credential.ReplayMember = member = HMACSHA256.HashData(memberKey.Value, row)[..16];
        }

        return member;
    }

    private static bool IsExpected(Exception error) => error is RedisException or TimeoutException or BrokenCircuitException or ObjectDisposedException;
}
