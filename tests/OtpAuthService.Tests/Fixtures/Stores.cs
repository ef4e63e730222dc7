using OtpAuthService.Keys;

namespace OtpAuthService.Tests.Fixtures;

/// <summary>The stores that every behaviour test runs on, from the same test body.</summary>
public enum StoreKind
{
    /// <summary>The embedded default: a SQLite file and an in-process replay cache.</summary>
    Sqlite,

    /// <summary>PostgreSQL alone, with an in-process replay cache.</summary>
    Postgres,

    /// <summary>PostgreSQL with Redis in front.</summary>
    PostgresRedis,
}

/// <summary>New, empty stores for one or more services: their settings, and where their files lie.</summary>
internal sealed class StoresUnderTest : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("otpauth-test-").FullName;

    private StoresUnderTest(StoreKind kind) => Kind = kind;

    public StoreKind Kind { get; }

    /// <summary>Null on SQLite.</summary>
    public string? PostgresConnectionString { get; private init; }

    public string? RedisConnectionString { get; private init; }

    /// <summary>Where the KEK is; null: in a file beside the data.</summary>
    public KeysUnderTest? Keys { get; init; }

    public string DatabaseFile => Path.Combine(folder, "data", "otpauth.db");

    /// <summary>Settings as a service takes them on its command line.</summary>
    public IReadOnlyDictionary<string, string> Settings
    {
        get
        {
            var settings = new Dictionary<string, string> { ["OtpAuth:DataFolder"] = Path.Combine(folder, "data") };
            if (PostgresConnectionString is not null)
            {
                settings["ConnectionStrings:Postgres"] = PostgresConnectionString;
                settings["OtpAuth:MigrateOnStart"] = "true";
            }

            if (Keys is not null)
            {
                Keys.Settings.ToList().ForEach(setting => settings.Add(setting.Key, setting.Value));
            }
            else if (PostgresConnectionString is not null)
            {
                settings["OtpAuth:KekFile"] = Path.Combine(folder, "kek");
            }

            if (RedisConnectionString is not null)
            {
                settings["ConnectionStrings:Redis"] = RedisConnectionString;
            }

            return settings;
        }
    }

    /// <param name="kind">Which stores.</param>
    /// <param name="postgres">A server of the test's own, where it is going to be hurt; else the shared one.</param>
    /// <param name="redis">Likewise.</param>
    /// <param name="keys">Where the KEK is; else in a file beside the data.</param>
    public static async Task<StoresUnderTest> CreateAsync(
        StoreKind kind, PostgresServer? postgres = null, RedisServer? redis = null, KeysUnderTest? keys = null)
    {
        var stores = new StoresUnderTest(kind)
        {
            PostgresConnectionString = kind == StoreKind.Sqlite ? null : await (postgres ?? await SharedServers.Postgres).CreateDatabaseAsync(),
            RedisConnectionString = kind == StoreKind.PostgresRedis ? (redis ?? await SharedServers.Redis).ConnectionString : null,
            Keys = keys,
        };
        FileKek.Create(Path.Combine(stores.folder, "kek"));
        return stores;
    }

    public void Dispose()
    {
        // SQLite removes its files beside the database with the last connection, which may be just now.
        for (var attempt = 1; Directory.Exists(folder); attempt++)
        {
            try
            {
                Microsoft.Data.Sqlite.SqliteConnection.ClearAllPools();
                Directory.Delete(folder, recursive: true);
            }
            catch (IOException) when (attempt < 10)
            {
                // Listed and gone, or made since it was listed.
            }
        }
    }
}
