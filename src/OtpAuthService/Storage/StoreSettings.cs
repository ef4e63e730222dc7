using Microsoft.Extensions.Options;
using Npgsql;
using OtpAuthService.Hosting;
using OtpAuthService.Verification;
using StackExchange.Redis;

namespace OtpAuthService.Storage;

/// <summary>Chooses the stores: PostgreSQL and Redis where their connection strings are set, else the embedded default.</summary>
internal static class StoreSettings
{
    private const string PostgresName = "Postgres";
    private const string RedisName = "Redis";

    /// <summary>No PostgreSQL is set: a SQLite file and an in-process replay cache, for trying out.</summary>
    public static bool IsEmbedded(this IConfiguration configuration) => string.IsNullOrEmpty(configuration.GetConnectionString(PostgresName));

    public static IServiceCollection AddStores(this IServiceCollection services, IConfiguration configuration)
    {
        services
            .AddSingleton(provider => configuration.IsEmbedded()
                ? StoreSet.Sqlite(provider.GetRequiredService<IOptions<OtpAuthOptions>>().Value.DatabaseFile)
                : OpenPostgres(configuration))
            .AddSingleton<StoreAvailability>()
            .AddSingleton<OtpStore>()
            .AddSingleton<LostCommits>()
            .AddSingleton<StoreMonitor>()
            .AddHostedService(provider => provider.GetRequiredService<StoreMonitor>());
        services.AddHealthChecks().AddCheck<StoreHealthCheck>("store");

        if (configuration.GetConnectionString(RedisName) is { Length: > 0 } redis)
        {
            services.AddSingleton<IConnectionMultiplexer>(provider => Connect(redis, provider.GetRequiredService<IOptions<OtpAuthOptions>>().Value.Redis));
            services.AddSingleton<IReplayCache, RedisReplayCache>();
        }
        else
        {
            services.AddSingleton<IReplayCache, InProcessReplayCache>();
        }

        return services;
    }

    /// <summary>The settings, well-formed by now, whose server may be reached over a network in plaintext.</summary>
    public static IEnumerable<string> FindPlaintext(IConfiguration configuration)
    {
        if (configuration.GetConnectionString(PostgresName) is { Length: > 0 } postgres
            && StoreTls.MayBePlaintext(new NpgsqlConnectionStringBuilder(postgres)))
        {
            yield return $"ConnectionStrings__{PostgresName}";
        }

        if (configuration.GetConnectionString(RedisName) is { Length: > 0 } redis && StoreTls.MayBePlaintext(ParseRedis(redis)))
        {
            yield return $"ConnectionStrings__{RedisName}";
        }
    }

    /// <exception cref="InvalidDataException">The connection string is none.</exception>
    public static StoreSet OpenPostgres(IConfiguration configuration)
    {
        try
        {
            return StoreSet.Postgres(configuration.GetConnectionString(PostgresName)!);
        }
        catch (ArgumentException malformed)
        {
            throw new InvalidDataException($"ConnectionStrings__Postgres is not a connection string of Npgsql: {malformed.Message}");
        }
    }

    private static ConfigurationOptions ParseRedis(string connectionString)
    {
        try
        {
            return ConfigurationOptions.Parse(connectionString);
        }
        catch (ArgumentException malformed)
        {
            throw new InvalidDataException($"ConnectionStrings__Redis is not a connection string of StackExchange.Redis: {malformed.Message}");
        }
    }

    /// <summary>Starts without Redis too, and fails a call at once while Redis is gone instead of lining it up.</summary>
    private static ConnectionMultiplexer Connect(string connectionString, RedisTlsOptions? tls)
    {
        var settings = ParseRedis(connectionString);
        // INFO, which Diagnose asks for, is an administrator's command to this client.
        settings.AllowAdmin = true;
        if (tls is not null)
        {
            settings.UseFiles(tls);
        }

        settings.AbortOnConnectFail = false;
        settings.BacklogPolicy = BacklogPolicy.FailFast;
        settings.ConnectTimeout = 1000;
        settings.ClientName = "otp-auth-service";
        return ConnectionMultiplexer.Connect(settings);
    }
}
