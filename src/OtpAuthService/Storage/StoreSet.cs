using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Diagnostics;
using Microsoft.EntityFrameworkCore.Infrastructure;
using System.Data.Common;
using Npgsql;

namespace OtpAuthService.Storage;

/// <summary>The database in use, PostgreSQL or a SQLite file, and what differs between them.</summary>
internal sealed class StoreSet : IDisposable
{
    private readonly Func<OtpDbContext> createContext;
    private readonly NpgsqlDataSource? postgres;
    private readonly NpgsqlDataSource? direct;

    private StoreSet(
        string name, int maxReaders, int maxWriters, int maxConnections, Func<OtpDbContext> createContext, NpgsqlDataSource? postgres, NpgsqlDataSource? direct)
    {
        Name = name;
        MaxReaders = maxReaders;
        MaxWriters = maxWriters;
        MaxConnections = maxConnections;
        this.createContext = createContext;
        this.postgres = postgres;
        this.direct = direct;
    }

    public string Name { get; }

    public bool IsPostgres => postgres is not null;

    /// <summary>Readings under way at once; the others wait in line.</summary>
    public int MaxReaders { get; }

    /// <summary>Transactions under way at once; one on SQLite, which has one writer and would otherwise have them poll for its lock.</summary>
    public int MaxWriters { get; }

    /// <summary>Connections that this replica may have at once, in both pools.</summary>
    public int MaxConnections { get; }

    public OtpDbContext CreateContext() => createContext();

    /// <summary>A connection of the few for statements that many submissions share; PostgreSQL only.</summary>
    public ValueTask<NpgsqlConnection> OpenDirectAsync(CancellationToken stop) =>
        direct?.OpenConnectionAsync(stop) ?? throw new InvalidOperationException($"{Name} has no direct connections.");

    /// <summary>
    /// What the server does for us when we cannot: it ends what a vanished replica has left open, with its locks, and does not keep back the
    /// warning that <see cref="CommitWarnings"/> listens for. Milliseconds, but seconds for keepalives; known since PostgreSQL 14.
    /// </summary>
    private static readonly string[] SessionSettings =
    [
        "idle_in_transaction_session_timeout=3000", "lock_timeout=700", "client_connection_check_interval=500", "client_min_messages=warning",
        "tcp_keepalives_idle=5", "tcp_keepalives_interval=2", "tcp_keepalives_count=3",
    ];

    /// <summary>
    /// For the statements that many submissions share. Each has one good plan, through the primary keys and in the order of its input,
    /// whatever the statistics say: also on tables that were empty when they were last counted. And a row that somebody else holds is not
    /// waited for long, since a whole batch would wait with it.
    /// </summary>
    private static readonly string[] DirectSettings =
    [
        "enable_seqscan=off", "enable_bitmapscan=off", "enable_hashjoin=off", "enable_mergejoin=off",
        "plan_cache_mode=force_generic_plan", "lock_timeout=50",
    ];

    public static StoreSet Postgres(string connectionString)
    {
        var given = new NpgsqlConnectionStringBuilder(connectionString);
        var settings = new NpgsqlConnectionStringBuilder(connectionString)
        {
            ApplicationName = "otp-auth-service",
            // Seconds; the shortest there is. The bound that callers see is OtpStore's.
            Timeout = 1,
            // Milliseconds; when a statement is cancelled, a hung server is not waited for a second time.
            CancellationTimeout = -1,
            // Seconds; default 10. A server that has cut connections is taken for gone that long, also where it is back at once.
            HostRecheckSeconds = 1,
            // Details of errors name rows: contractors do not belong in a log.
            IncludeErrorDetail = false,
            // EF Core's statements are a few dozen: parsed and planned once for each connection.
            MaxAutoPrepare = 100,
            AutoPrepareMinUsages = 2,
            // Nothing here changes a session, and to reset it all the same costs PostgreSQL seven small statements for each one of ours. But without
            // that a statement that is given up is cancelled by a blocking call to a server that hangs, on the threads that answer callers.
            NoResetOnClose = false,
        };
        const int Readers = 12, Writers = 16;
        // Two more for the probe and for migrations.
        settings.MaxPoolSize = Readers + Writers + 2;
        var source = Open("otp", settings, SessionSettings);
        settings.MaxPoolSize = Readers + Writers;
        settings.AutoPrepareMinUsages = 1;
        var direct = Open("otp-shared", settings, [.. SessionSettings, .. DirectSettings]);
        var contexts = new PooledDbContextFactory<PostgresOtpDbContext>(new DbContextOptionsBuilder<PostgresOtpDbContext>().UsePostgres(source).Options);
        return new StoreSet("PostgreSQL", Readers, Writers, (2 * (Readers + Writers)) + 2, contexts.CreateDbContext, source, direct);

        // Where several hosts are named, only the one that takes writes is the system of record. The name is the pool's in metrics.
        NpgsqlDataSource Open(string name, NpgsqlConnectionStringBuilder settings, string[] session)
        {
            settings.Options = string.Join(' ', session.Select(setting => $"-c {setting}")) + " " + given.Options;
            return new NpgsqlDataSourceBuilder(settings.ConnectionString) { Name = name }.BuildMultiHost().WithTargetSession(TargetSessionAttributes.ReadWrite);
        }
    }

    public static StoreSet Sqlite(string path)
    {
        var contexts = new PooledDbContextFactory<SqliteOtpDbContext>(
            new DbContextOptionsBuilder<SqliteOtpDbContext>().UseSqliteFile(path).AddInterceptors(new DurableCommits()).Options);
        return new StoreSet("SQLite", maxReaders: 8, maxWriters: 1, maxConnections: 9, contexts.CreateDbContext, postgres: null, direct: null);
    }

    /// <summary>The database's own clock, null for SQLite, which has none but ours; whether it takes writes; and where it is, null for SQLite and for a standby.</summary>
    public async Task<(DateTimeOffset? Clock, bool Writable, StorePosition? Position)> ProbeAsync(CancellationToken stop)
    {
        if (postgres is null)
        {
            await using var db = CreateContext();
            await db.Institutions.AnyAsync(stop);
            return (null, true, null);
        }

        // The timeline in use: pg_control_checkpoint knows it only some time after a promotion.
        await using var command = postgres.CreateCommand(
            """
            SELECT clock_timestamp(), current_setting('transaction_read_only') = 'off', system_identifier, ('x' || left(pg_walfile_name(flushed), 8))::bit(32)::int,
                pg_postmaster_start_time(), flushed - '0/0'
            FROM pg_control_system(), (SELECT CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_flush_lsn() END) AS log (flushed)
            """);
        await using var row = await command.ExecuteReaderAsync(stop);
        await row.ReadAsync(stop);
        var position = row.IsDBNull(5) ? null : new StorePosition(row.GetInt64(2), row.GetInt32(3), row.GetDateTime(4), (long)row.GetDecimal(5));
        return (new DateTimeOffset(row.GetDateTime(0), TimeSpan.Zero), row.GetBoolean(1), position);
    }

    /// <summary>Whether a commit is on disk when it is answered; on SQLite always (<see cref="DurableCommits"/>).</summary>
    public async Task<bool> CommitsAreDurableAsync(CancellationToken stop)
    {
        if (postgres is null)
        {
            return true;
        }

        await using var command = postgres.CreateCommand("SELECT current_setting('synchronous_commit') <> 'off' AND current_setting('fsync') = 'on'");
        return (bool)(await command.ExecuteScalarAsync(stop))!;
    }

    /// <summary>What an operator may want to know of the server; null for SQLite.</summary>
    public async Task<PostgresServerState?> ReadServerAsync(CancellationToken stop)
    {
        if (postgres is null)
        {
            return null;
        }

        // Numbers of backends and not pg_stat_activity, of which a role without rights sees other roles' rows in parts only.
        await using var command = postgres.CreateCommand(
            """
            SELECT current_setting('server_version'), current_setting('synchronous_commit'), current_setting('fsync'), current_setting('full_page_writes'), most,
                   least(most - used, CASE WHEN rolconnlimit < 0 THEN most ELSE rolconnlimit - own END)
            FROM (SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int AS most) AS m,
                 (SELECT coalesce(sum(numbackends), 0)::int AS used FROM pg_stat_database WHERE datid <> 0) AS u,
                 (SELECT count(*)::int AS own FROM pg_stat_activity WHERE usename = current_user) AS o,
                 (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user) AS r
            """);
        await using var row = await command.ExecuteReaderAsync(stop);
        await row.ReadAsync(stop);
        return new PostgresServerState(row.GetString(0), row.GetString(1), row.GetString(2), row.GetString(3), row.GetInt32(4), row.GetInt32(5));
    }

    /// <summary>Whether the role can alter or remove audit records that are written, of itself or by making itself the owner; no question on SQLite.</summary>
    public async Task<bool> CanRewriteAuditAsync(CancellationToken stop)
    {
        if (postgres is null)
        {
            return false;
        }

        await using var command = postgres.CreateCommand(
            """
            SELECT bool_or(pg_has_role(session_user, c.relowner, 'MEMBER') OR has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE') OR has_any_column_privilege(c.oid, 'UPDATE'))
            FROM pg_partition_tree('audit_trail') AS t JOIN pg_class AS c ON c.oid = t.relid
            """);
        return (bool)(await command.ExecuteScalarAsync(stop))!;
    }

    /// <summary>Rights of <see cref="Grants.OfService"/> that the role lacks, in words; none on SQLite. What the schema lacks is another question.</summary>
    public async Task<IReadOnlyList<string>> ReadMissingRightsAsync(CancellationToken stop)
    {
        if (postgres is null)
        {
            return [];
        }

        var needed = Grants.OfService();
        await using var command = postgres.CreateCommand(
            """
            SELECT concat(privilege, ' (' || string_agg(nullif(col, ''), ', ' ORDER BY col) || ')', ' on ', thing)
            FROM unnest($1, $2, $3) AS needed (privilege, thing, col)
            LEFT JOIN pg_attribute ON attrelid = to_regclass(CASE WHEN privilege <> 'EXECUTE' THEN thing END) AND attname = nullif(col, '')
            WHERE NOT CASE
                WHEN privilege = 'EXECUTE' THEN has_function_privilege(to_regprocedure(thing), privilege)
                WHEN col = '' THEN has_table_privilege(to_regclass(thing), privilege)
                ELSE has_column_privilege(to_regclass(thing), attnum, privilege)
            END
            GROUP BY privilege, thing ORDER BY thing, privilege
            """);
        foreach (var values in new[] { needed.Select(right => right.Privilege), needed.Select(right => right.Thing), needed.Select(right => right.Column) })
        {
            command.Parameters.Add(new NpgsqlParameter<string[]> { TypedValue = [.. values] });
        }

        await using var rows = await command.ExecuteReaderAsync(stop);
        var missing = new List<string>();
        while (await rows.ReadAsync(stop))
        {
            missing.Add(rows.GetString(0));
        }

        return missing;
    }

    public void Dispose()
    {
        postgres?.Dispose();
        direct?.Dispose();
    }

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

/// <summary>How a PostgreSQL server is set, as the service's role sees it.</summary>
/// <param name="Version">Such as "15.14".</param>
/// <param name="SynchronousCommit">As in its settings.</param>
/// <param name="Fsync">Likewise.</param>
/// <param name="FullPageWrites">Likewise.</param>
/// <param name="MaxConnections">That the server takes from roles that are no superusers.</param>
/// <param name="FreeConnections">Of those, for this role.</param>
internal sealed record PostgresServerState(
    string Version, string SynchronousCommit, string Fsync, string FullPageWrites, int MaxConnections, int FreeConnections);

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
