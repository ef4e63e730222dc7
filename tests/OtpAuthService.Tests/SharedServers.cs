using OtpAuthService.Tests.Fixtures;

namespace OtpAuthService.Tests;

/// <summary>
/// The servers that the whole run shares, started by whoever asks first and ended with the run. It stands in the namespace of all
/// tests, because a set-up fixture covers its own namespace only.
/// </summary>
[SetUpFixture]
public sealed class SharedServers
{
    private static readonly Lazy<Task<PostgresServer>> LazyPostgres = new(() => PostgresServer.StartNewAsync());
    private static readonly Lazy<Task<RedisServer>> LazyRedis = new(() => RedisServer.StartNewAsync());

    internal static Task<PostgresServer> Postgres => LazyPostgres.Value;

    internal static Task<RedisServer> Redis => LazyRedis.Value;

    [OneTimeTearDown]
    public async Task StopAsync()
    {
        if (LazyPostgres.IsValueCreated)
        {
            await (await Postgres).DisposeAsync();
        }

        if (LazyRedis.IsValueCreated)
        {
            await (await Redis).DisposeAsync();
        }

        await PostgresServer.RemoveOriginAsync();
        await StoresUnderTest.RemoveMigratedFileAsync();
    }
}
