using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Diagnostics;
using System.Data.Common;
using Npgsql;

namespace OtpAuthService.Storage;

/// <summary>The database in use, PostgreSQL or a SQLite file, and what differs between them.</summary>
internal sealed class StoreSet : IDisposable
{
    private readonly Func<OtpDbContext> createContext;
    private readonly NpgsqlDataSource? postgres;

    private StoreSet(string name, int maxReaders, int maxWriters, Func<OtpDbContext> createContext, NpgsqlDataSource? postgres)
    {
        Name = name;
        MaxReaders = maxReaders;
        MaxWriters = maxWriters;
        this.createContext = createContext;
        this.postgres = postgres;
    }

    public string Name { get; }

    /// <summary>Readings under way at once; the others wait in line.</summary>
    public int MaxReaders { get; }

    /// <summary>Transactions under way at once; one on SQLite, which has one writer and would otherwise have them poll for its lock.</summary>
    public int MaxWriters { get; }

    public OtpDbContext CreateContext() => createContext();

    public static StoreSet Postgres(string connectionString)
    {
        var settings = new NpgsqlConnectionStringBuilder(connectionString)
        {
            ApplicationName = "otp-auth-service",
            // Seconds; the shortest there is. The bound that callers see is OtpStore's.
            Timeout = 1,
            // Milliseconds; a hung server is not waited for a second time when a statement is cancelled.
            CancellationTimeout = -1,
        };
        const int Readers = 12, Writers = 16;
        // Two more for the probe and for migrations.
        settings.MaxPoolSize = Readers + Writers + 2;
        var source = new NpgsqlDataSourceBuilder(settings.ConnectionString).Build();
        var options = new DbContextOptionsBuilder<PostgresOtpDbContext>().UsePostgres(source).Options;
        return new StoreSet("PostgreSQL", Readers, Writers, () => new PostgresOtpDbContext(options), source);
    }

    public static StoreSet Sqlite(string path)
    {
        var options = new DbContextOptionsBuilder<SqliteOtpDbContext>()
            .UseSqliteFile(path)
            .AddInterceptors(new DurableCommits())
            .Options;
        return new StoreSet("SQLite", maxReaders: 8, maxWriters: 1, () => new SqliteOtpDbContext(options), postgres: null);
    }

    /// <summary>The database's own clock; null for SQLite, which has none but ours.</summary>
    public async Task<DateTimeOffset?> ReadClockAsync(CancellationToken stop)
    {
        if (postgres is null)
        {
            await using var db = CreateContext();
            await db.Institutions.AnyAsync(stop);
            return null;
        }

        await using var command = postgres.CreateCommand("SELECT clock_timestamp()");
        return new DateTimeOffset((DateTime)(await command.ExecuteScalarAsync(stop))!, TimeSpan.Zero);
    }

    public void Dispose() => postgres?.Dispose();

    /// <summary>SQLite acknowledges a commit only once it is on the disk (promise P2), and waits for a rival process instead of failing.</summary>
    private sealed class DurableCommits : DbConnectionInterceptor
    {
        private const string Pragmas = "PRAGMA synchronous = FULL; PRAGMA busy_timeout = 500;";

        public override void ConnectionOpened(DbConnection connection, ConnectionEndEventData eventData)
        {
            using var command = connection.CreateCommand();
            command.CommandText = Pragmas;
            command.ExecuteNonQuery();
        }

        public override async Task ConnectionOpenedAsync(
            DbConnection connection, ConnectionEndEventData eventData, CancellationToken cancellationToken = default)
        {
            await using var command = connection.CreateCommand();
            command.CommandText = Pragmas;
            await command.ExecuteNonQueryAsync(cancellationToken);
        }
    }
}

/// <summary>How each provider is told about the tables; shared with the design-time factories that make migrations.</summary>
internal static class ProviderOptions
{
    public static DbContextOptionsBuilder<PostgresOtpDbContext> UsePostgres(
        this DbContextOptionsBuilder<PostgresOtpDbContext> options, NpgsqlDataSource source) =>
        options.UseNpgsql(source).UseSnakeCaseNamingConvention();

    public static DbContextOptionsBuilder<SqliteOtpDbContext> UseSqliteFile(
        this DbContextOptionsBuilder<SqliteOtpDbContext> options, string path) =>
        options.UseSqlite($"Data Source={path};Foreign Keys=True").UseSnakeCaseNamingConvention();
}
