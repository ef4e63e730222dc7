using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using OtpAuthService.Keys;
using OtpAuthService.Storage;

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

/// <summary>New stores for one or more services: their settings, and where their files lie.</summary>
internal sealed class StoresUnderTest : IDisposable
{
    private static readonly Lazy<Task<string>> MigratedFile = new(MigrateFileAsync);

    private readonly string folder = Directory.CreateTempSubdirectory("otpauth-test-").FullName;

    private StoresUnderTest(StoreKind kind) => Kind = kind;

    public StoreKind Kind { get; }

    /// <summary>Null on SQLite.</summary>
    public string? PostgresConnectionString { get; private init; }

    public string? RedisConnectionString { get; private init; }

    /// <summary>Where the KEK is; null: in a file beside the data.</summary>
    public KeysUnderTest? Keys { get; init; }

    /// <summary>Where the database is dropped when the test has ended; null where it goes with its server.</summary>
    private PostgresServer? Shared { get; init; }

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
    /// <param name="migrated">Whether the migrations are done, which nobody looks at in most tests; else there is nothing at all, as before a first start.</param>
    public static async Task<StoresUnderTest> CreateAsync(
        StoreKind kind, PostgresServer? postgres = null, RedisServer? redis = null, KeysUnderTest? keys = null, bool migrated = true)
    {
        var server = kind == StoreKind.Sqlite ? null : postgres ?? await SharedServers.Postgres;
        var stores = new StoresUnderTest(kind)
        {
            PostgresConnectionString = server is null ? null : await (migrated ? server.CreateMigratedDatabaseAsync() : server.CreateDatabaseAsync()),
            RedisConnectionString = kind == StoreKind.PostgresRedis ? (redis ?? await SharedServers.Redis).ConnectionString : null,
            Keys = keys,
            Shared = postgres is null ? server : null,
        };
        FileKek.Create(Path.Combine(stores.folder, "kek"));
        if (kind == StoreKind.Sqlite && migrated)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(stores.DatabaseFile)!);
            File.Copy(await MigratedFile.Value, stores.DatabaseFile);
            // Beside a database that is there, a service makes none.
            FileKek.Create(Path.Combine(Path.GetDirectoryName(stores.DatabaseFile)!, "kek"));
        }

        return stores;
    }

    /// <summary>Removes what the files of SQLite are copies of.</summary>
    public static async Task RemoveMigratedFileAsync()
    {
        if (MigratedFile.IsValueCreated)
        {
            Directory.Delete(Path.GetDirectoryName(await MigratedFile.Value)!, recursive: true);
        }
    }

    private static async Task<string> MigrateFileAsync()
    {
        var path = Path.Combine(Directory.CreateTempSubdirectory("otpauth-test-").FullName, "otpauth.db");
        using (var stores = StoreSet.Sqlite(path))
        {
            await using var db = stores.CreateContext();
            await db.Database.MigrateAsync();
        }

        // With the last connection, what is still in the WAL goes into the file.
        SqliteConnection.ClearAllPools();
        return path;
    }

    public void Dispose()
    {
        Shared?.Drop(PostgresConnectionString!);
        // SQLite removes its files beside the database with the last connection, which may be just now.
        for (var attempt = 1; Directory.Exists(folder); attempt++)
        {
            try
            {
                SqliteConnection.ClearAllPools();
                Directory.Delete(folder, recursive: true);
            }
            catch (IOException) when (attempt < 10)
            {
                // Listed and gone, or made since it was listed.
            }
        }
    }
}
