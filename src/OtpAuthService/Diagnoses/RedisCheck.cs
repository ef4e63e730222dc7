using System.Globalization;
using OtpAuthService.Storage;
using StackExchange.Redis;

namespace OtpAuthService.Diagnoses;

/// <summary>
/// Redis never decides (promise P1), so nothing here is a fault: without it, or with entries evicted, the database answers a replay instead, slower. It needs no
/// persistence either: what is lost in a restart is asked of the database.
/// </summary>
internal sealed class RedisCheck(StoreSet stores, IConnectionMultiplexer? redis = null)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    /// <summary>Part of its memory limit from which on Redis is about to be full.</summary>
    private const double Full = 0.8;

    public async Task<List<Finding>> LookAsync(CancellationToken stop)
    {
        if (redis is null)
        {
            return stores.IsPostgres ? [Finding.Ok("redis", "None is set: the database alone answers replays.")] : [];
        }

        try
        {
            var primaries = redis.GetServers().Where(server => server is { IsConnected: true, IsReplica: false }).ToList();
            return primaries.Count == 0 ? [Lost("no server is connected")] : await LookAsync(primaries, stop);
        }
        catch (Exception lost) when (lost is RedisException or TimeoutException)
        {
            return [Lost(lost.Message)];
        }
    }

    private static Finding Lost(string reason) => Finding.Warning(
        "redis",
        $"Redis does not answer: {reason}. The database alone answers replays, slower.",
        "See to the server and to ConnectionStrings__Redis; it is used again by itself.");

    /// <summary>Of a Cluster's primaries, the first that is not as it should be speaks for all.</summary>
    private static async Task<List<Finding>> LookAsync(List<IServer> primaries, CancellationToken stop)
    {
        var looked = await Task.WhenAll(primaries.Select(server => LookAsync(server, stop)));
        return [.. looked.SelectMany(findings => findings).GroupBy(finding => finding.Subject).Select(same => same.MaxBy(finding => finding.State)!)];
    }

    private static async Task<List<Finding>> LookAsync(IServer server, CancellationToken stop)
    {
        // INFO and not CONFIG GET, which managed servers refuse.
        var answer = await server.ExecuteAsync("INFO").WaitAsync(Patience, stop);
        var info = ((string?)answer ?? "").Split('\n', StringSplitOptions.TrimEntries).Select(line => line.Split(':', 2)).Where(pair => pair.Length == 2)
            .ToDictionary(pair => pair[0], pair => pair[1]);
        var memory = new Memory(
            NumberOf(info, "used_memory"), NumberOf(info, "maxmemory"), info.GetValueOrDefault("maxmemory_policy", "unknown"), NumberOf(info, "evicted_keys"));
        return [Finding.Ok("redis", $"Redis {info.GetValueOrDefault("redis_version")} answers."), JudgeEviction(memory), JudgeMemory(memory), JudgePersistence(info)];
    }

    /// <summary>It is not needed, but where Redis cannot save what it is told to save, it takes no writes any more (MISCONF), by its default settings.</summary>
    private static Finding JudgePersistence(Dictionary<string, string> info) =>
        info.GetValueOrDefault("rdb_last_bgsave_status") == "err" || info.GetValueOrDefault("aof_last_write_status") == "err"
            ? Finding.Warning(
                "redis.persistence",
                "Redis cannot save to its disk, and then takes no writes: what was used is not shared with other replicas. No OTP is accepted twice by that, but the database then answers, slower.",
                "See to its disk, or turn saving off (save \"\", appendonly no): the service needs none.")
            : Finding.Ok(
                "redis.persistence",
                $"Redis appends to a file: {(info.GetValueOrDefault("aof_enabled") == "1" ? "yes" : "no")}. The service needs no file: the database answers what was lost in a restart.");

    /// <summary>
    /// All keys of the service end by themselves. volatile-ttl takes those that are about to; the other policies take any, also those that answer
    /// replays now, and with allkeys-… or volatile-… it is whoever else uses this Redis who decides when.
    /// </summary>
    private static Finding JudgeEviction(Memory memory)
    {
        var detail = $"maxmemory-policy is {memory.Policy}, {memory.Evicted} keys were evicted so far";
        return memory.Max == 0 ? Finding.Ok("redis.eviction", $"{detail}; without maxmemory nothing is evicted.")
            : memory.Policy is "noeviction" or "volatile-ttl" ? Finding.Ok("redis.eviction", $"{detail}.")
            : Finding.Warning(
                "redis.eviction",
                $"{detail}: entries that answer replays may be evicted while they are needed. No OTP is accepted twice by that, but the database then answers, slower.",
                "Set maxmemory-policy to volatile-ttl or noeviction, and give the service a Redis of its own.");
    }

    private static Finding JudgeMemory(Memory memory)
    {
        const double MiB = 1024 * 1024;
        var used = FormattableString.Invariant($"{memory.Used / MiB:0.#} MiB are in use");
        return memory.Max == 0 ? Finding.Ok("redis.memory", $"{used}; there is no limit (maxmemory).")
            : memory.Used > Full * memory.Max ? Finding.Warning(
                "redis.memory",
                FormattableString.Invariant($"{used}, of {memory.Max / MiB:0.#} MiB allowed: once it is full, what was used is not shared with other replicas any more."),
                "Raise maxmemory, or give the service a Redis of its own.")
            : Finding.Ok("redis.memory", FormattableString.Invariant($"{used}, of {memory.Max / MiB:0.#} MiB allowed."));
    }

    private static long NumberOf(Dictionary<string, string> info, string name) =>
        long.TryParse(info.GetValueOrDefault(name), NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : 0;

    private sealed record Memory(long Used, long Max, string Policy, long Evicted);
}
