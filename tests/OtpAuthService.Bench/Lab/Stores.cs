using Npgsql;
using OtpAuthService.Tests.Fixtures;
using StackExchange.Redis;

namespace OtpAuthService.Bench.Lab;

/// <summary>The run's own PostgreSQL and Redis, on loopback, in temporary folders.</summary>
internal sealed class Stores : IAsyncDisposable
{
    /// <summary>
    /// Over PostgreSQL's defaults. Commits are as durable as ever. No checkpoint and no autovacuum falls into one scenario and misses another:
    /// the run vacuums between measurements, and is shorter than the time between two checkpoints.
    /// </summary>
    public static readonly string[] PostgresSettings =
    [
        "fsync=on", "synchronous_commit=on", "full_page_writes=on", "shared_buffers=1GB", "max_connections=500", "checkpoint_timeout=1h",
        "max_wal_size=32GB", "autovacuum=off",
    ];

    private Stores(PostgresServer postgres, RedisServer redis)
    {
        Postgres = postgres;
        Redis = redis;
    }

    public PostgresServer Postgres { get; }

    public RedisServer Redis { get; }

    public static async Task<Stores> StartAsync() =>
        new(await PostgresServer.StartNewAsync(PostgresSettings), await RedisServer.StartNewAsync());

    /// <summary>Redis that is gone has nothing to forget, and comes back empty.</summary>
    public Task FlushRedisAsync() => Redis.ProcessId is null ? Task.CompletedTask : Redis.FlushAsync();

    /// <summary>Stops Redis as a crash would, and waits until its clients have noticed.</summary>
    public async Task StopRedisAsync()
    {
        redisClients = await CountRedisClientsAsync();
        Redis.Kill();
        await Task.Delay(TimeSpan.FromSeconds(0.5));
    }

    /// <summary>Starts it again, empty, and waits until everybody who was connected is so again.</summary>
    public async Task RestartRedisAsync()
    {
        await Redis.StartAsync();
        await Eventually.IsTrueAsync(
            async () => await CountRedisClientsAsync() >= redisClients, "the servers are connected to Redis again", seconds: 60);
        // Circuit breakers try again after a second.
        await Task.Delay(TimeSpan.FromSeconds(1.5));
    }

    public async ValueTask DisposeAsync()
    {
        await Redis.DisposeAsync();
        NpgsqlConnection.ClearAllPools();
        await Postgres.DisposeAsync();
    }

    private int redisClients;

    private async Task<int> CountRedisClientsAsync()
    {
        await using var redis = await ConnectionMultiplexer.ConnectAsync($"{Redis.ConnectionString},allowAdmin=true,name=count");
        return (await redis.GetServers()[0].ClientListAsync()).Count(client => client.Name != "count");
    }
}
