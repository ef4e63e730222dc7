using StackExchange.Redis;

namespace OtpAuthService.Tests.Fixtures;

/// <summary>Debian's Redis on a free loopback port, in memory only.</summary>
internal sealed class RedisServer : IAsyncDisposable
{
    private readonly int port = Loopback.FreePort();
    private int? tlsPort;
    private string[] settings = [];
    private ChildProcess? server;

    /// <param name="settings">As Redis takes them on its command line.</param>
    public static async Task<RedisServer> StartNewAsync(params string[] settings)
    {
        var redis = new RedisServer { settings = settings };
        await redis.StartAsync();
        return redis;
    }

    /// <summary>With a port of mutual TLS for the service; the other one is for the test's hands.</summary>
    /// <param name="certificate">The server's.</param>
    /// <param name="trustFile">Roots of clients' certificates.</param>
    public static async Task<RedisServer> StartTlsAsync(TestCertificate certificate, string trustFile)
    {
        var redis = new RedisServer { tlsPort = Loopback.FreePort() };
        redis.settings =
        [
            "--tls-port", $"{redis.tlsPort}", "--tls-auth-clients", "yes", "--tls-ca-cert-file", trustFile,
            "--tls-cert-file", certificate.CertificateFile, "--tls-key-file", certificate.KeyFile,
        ];
        await redis.StartAsync();
        return redis;
    }

    /// <summary>Null while it is not running.</summary>
    public int? ProcessId => server?.Id;

    public string ConnectionString => $"127.0.0.1:{port}";

    public string TlsConnectionString => $"127.0.0.1:{tlsPort},ssl=true";

    public async Task StartAsync()
    {
        server = ChildProcess.Start("redis-server", ["--port", $"{port}", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", .. settings]);
        await Eventually.IsTrueAsync(AnswersAsync, "Redis answers");
    }

    public void Kill()
    {
        server!.Dispose();
        server = null;
    }

    public void Hang() => server!.Signal("STOP");

    public void Continue() => server!.Signal("CONT");

    /// <summary>CONFIG SET, until the test sets it back.</summary>
    public async Task ConfigureAsync(string name, string value)
    {
        await using var redis = await ConnectionMultiplexer.ConnectAsync($"{ConnectionString},allowAdmin=true");
        await redis.GetServers()[0].ConfigSetAsync(name, value);
    }

    /// <summary>Where its folder is gone: saves, which fails.</summary>
    public async Task SaveInVainAsync()
    {
        await using var redis = await ConnectionMultiplexer.ConnectAsync($"{ConnectionString},allowAdmin=true");
        await redis.GetServers()[0].ExecuteAsync("BGSAVE");
        await Eventually.IsTrueAsync(
            async () => $"{await redis.GetServers()[0].ExecuteAsync("INFO", "persistence")}".Contains("rdb_last_bgsave_status:err", StringComparison.Ordinal), "saving has failed");
    }

    public async Task FlushAsync()
    {
        await using var redis = await ConnectionMultiplexer.ConnectAsync($"{ConnectionString},allowAdmin=true");
        await redis.GetServers()[0].FlushAllDatabasesAsync();
    }

    /// <summary>A foreign writer: every key gets this value, whatever it was.</summary>
    public async Task SetAllAsync(string value)
    {
        await using var redis = await ConnectionMultiplexer.ConnectAsync(ConnectionString);
        await foreach (var key in redis.GetServers()[0].KeysAsync())
        {
            await redis.GetDatabase().StringSetAsync(key, value);
        }
    }

    /// <summary>All sets with their members, to be searched and told from each other.</summary>
    public async Task<IReadOnlyDictionary<string, IReadOnlyList<RedisValue>>> SetsAsync()
    {
        await using var redis = await ConnectionMultiplexer.ConnectAsync(ConnectionString);
        var sets = new Dictionary<string, IReadOnlyList<RedisValue>>();
        await foreach (var key in redis.GetServers()[0].KeysAsync())
        {
            sets.Add($"{key}", await redis.GetDatabase().SetMembersAsync(key));
        }

        return sets;
    }

    public async Task AddAsync(string set, RedisValue member)
    {
        await using var redis = await ConnectionMultiplexer.ConnectAsync(ConnectionString);
        await redis.GetDatabase().SetAddAsync(set, member);
    }

    public async Task ExpireAsync(string key, TimeSpan lifetime)
    {
        await using var redis = await ConnectionMultiplexer.ConnectAsync(ConnectionString);
        await redis.GetDatabase().KeyExpireAsync(key, lifetime);
    }

    public async Task<TimeSpan?> LifetimeAsync(string key)
    {
        await using var redis = await ConnectionMultiplexer.ConnectAsync(ConnectionString);
        return await redis.GetDatabase().KeyTimeToLiveAsync(key);
    }

    /// <summary>How often each command was called since the start, those within scripts too; by its name in lower case.</summary>
    public async Task<IReadOnlyDictionary<string, long>> CountCallsAsync()
    {
        await using var redis = await ConnectionMultiplexer.ConnectAsync($"{ConnectionString},allowAdmin=true");
        // cmdstat_mget:calls=3,usec=...
        return (await redis.GetServers()[0].InfoAsync("commandstats")).SelectMany(section => section).ToDictionary(
            line => line.Key["cmdstat_".Length..],
            line => long.Parse(line.Value.Split(',')[0]["calls=".Length..], System.Globalization.CultureInfo.InvariantCulture));
    }

    public async Task<long> CountKeysAsync()
    {
        await using var redis = await ConnectionMultiplexer.ConnectAsync(ConnectionString);
        return await redis.GetServers()[0].DatabaseSizeAsync();
    }

    public ValueTask DisposeAsync()
    {
        server?.Dispose();
        return ValueTask.CompletedTask;
    }

    private async Task<bool> AnswersAsync()
    {
        try
        {
            await CountKeysAsync();
            return true;
        }
        catch (RedisException)
        {
            return false;
        }
    }
}
