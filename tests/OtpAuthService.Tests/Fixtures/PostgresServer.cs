using Npgsql;
using OtpAuthService.Storage;

namespace OtpAuthService.Tests.Fixtures;

/// <summary>Debian's PostgreSQL, fsync on, on a free loopback port, in a temporary folder of its own.</summary>
internal sealed class PostgresServer : IAsyncDisposable
{
    private const string Migrated = "migrated";

    // Made once: initdb and the migrations take longer than most tests.
    private static readonly Lazy<Task<PostgresServer>> Origin = new(MakeOriginAsync);

    private readonly string folder;
    private readonly int port;
    private readonly string[] settings;
    private string host = "127.0.0.1";
    private ChildProcess? server;

    private PostgresServer(string folder, int port, string[] settings)
    {
        this.folder = folder;
        this.port = port;
        this.settings = settings;
    }

    /// <param name="settings">As <c>name=value</c>, over those that every server here has.</param>
    public static async Task<PostgresServer> StartNewAsync(params string[] settings)
    {
        var postgres = await CreateAsync(settings);
        await postgres.StartAsync();
        return postgres;
    }

    /// <summary>With TLS. Its own connection strings are for the test's hands, by Unix socket; how others get in is for <paramref name="rules"/> to say.</summary>
    /// <param name="tls">The server's certificate.</param>
    /// <param name="trustFile">Roots of clients' certificates.</param>
    /// <param name="rules">Lines of pg_hba.conf.</param>
    public static async Task<PostgresServer> StartTlsAsync(TestCertificate tls, string trustFile, params string[] rules)
    {
        var postgres = await CreateAsync("ssl=on", "ssl_ca_file=root.crt");
        postgres.host = postgres.folder;
        string[] owner = Environment.IsPrivilegedProcess ? ["-o", "postgres", "-g", "postgres"] : [];
        // PostgreSQL insists on files of its own user's, and on a key that nobody else can read.
        foreach (var (file, name) in new[] { (tls.CertificateFile, "server.crt"), (tls.KeyFile, "server.key"), (trustFile, "root.crt") })
        {
            await ChildProcess.RunAsync("install", [.. owner, "-m", "600", file, Path.Combine(postgres.Data, name)]);
        }

        await File.WriteAllLinesAsync(Path.Combine(postgres.Data, "pg_hba.conf"), ["local all all trust", .. rules]);
        await postgres.StartAsync();
        return postgres;
    }

    /// <summary>Removes what every server here began as a copy of.</summary>
    public static async Task RemoveOriginAsync()
    {
        if (Origin.IsValueCreated)
        {
            await (await Origin.Value).DisposeAsync();
        }
    }

    private static async Task<PostgresServer> CreateAsync(params string[] settings)
    {
        var origin = await Origin.Value;
        var postgres = await InNewFolderAsync(settings);
        await ChildProcess.RunAsync("cp", ["-a", origin.Data, postgres.Data]);
        return postgres;
    }

    /// <summary>Stopped, with a database that no service has started on: it holds what the migrations leave.</summary>
    private static async Task<PostgresServer> MakeOriginAsync()
    {
        var origin = await InNewFolderAsync([]);
        var (program, prefix) = Command("initdb");
        await ChildProcess.RunAsync(program, [.. prefix, "-D", origin.Data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]);
        await origin.StartAsync();
        await ExecuteAsync(origin.ConnectionString("postgres"), $"CREATE DATABASE {Migrated}");
        using (var stores = StoreSet.Postgres(origin.ConnectionString(Migrated)))
        {
            await using var db = stores.CreateContext();
            await Schema.MigrateAsync(db, CancellationToken.None);
        }

        // A database that somebody is connected to cannot be copied.
        await ExecuteAsync(origin.ConnectionString("postgres"), $"ALTER DATABASE {Migrated} ALLOW_CONNECTIONS false");
        origin.server!.Signal("INT");
        await origin.server.WaitForExitAsync();
        return origin;
    }

    private static async Task<PostgresServer> InNewFolderAsync(string[] settings)
    {
        var folder = Directory.CreateTempSubdirectory("otpauth-pg-").FullName;
        if (Environment.IsPrivilegedProcess)
        {
            await ChildProcess.RunAsync("chown", ["postgres:postgres", folder]);
        }

        return new PostgresServer(folder, Loopback.FreePort(), settings);
    }

    /// <summary>The postmaster: parent of every other process of the server.</summary>
    public int ProcessId => server!.Id;

    /// <summary>Where clients with TLS connect, beside the host name.</summary>
    public int Port => port;

    public string WalFolder => Path.Combine(Data, "pg_wal");

    private string Data => Path.Combine(folder, "data");

    public async Task StartAsync()
    {
        var (program, prefix) = Command("postgres");
        server = ChildProcess.Start(
            program,
            [
                .. prefix, "-D", Data, "-p", $"{port}", "-k", folder, "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200",
                "-c", "log_min_messages=fatal", .. settings.SelectMany(setting => new[] { "-c", setting }),
            ]);
        await Eventually.IsTrueAsync(AnswersAsync, "PostgreSQL answers");
    }

    /// <summary>An empty database.</summary>
    public Task<string> CreateDatabaseAsync() => CopyDatabaseAsync("template1");

    /// <summary>A database that has had all migrations, and nothing else.</summary>
    public Task<string> CreateMigratedDatabaseAsync() => CopyDatabaseAsync(Migrated);

    /// <summary>Removes a database, whoever may still be connected to it.</summary>
    public void Drop(string connectionString)
    {
        using var connection = new NpgsqlConnection(ConnectionString("postgres"));
        connection.Open();
        using var command = new NpgsqlCommand($"DROP DATABASE {new NpgsqlConnectionStringBuilder(connectionString).Database} WITH (FORCE)", connection);
        command.ExecuteNonQuery();
    }

    /// <summary>Has psql run a file, as a DBA does.</summary>
    /// <param name="connectionString">Where, and as whom.</param>
    /// <param name="file">The file.</param>
    /// <param name="variables">As <c>name=value</c>.</param>
    public static Task<string> RunFileAsync(string connectionString, string file, params string[] variables)
    {
        var to = new NpgsqlConnectionStringBuilder(connectionString);
        return ChildProcess.RunAsync(
            "psql",
            ["-X", "-q", "-h", to.Host!, "-p", $"{to.Port}", "-U", to.Username!, "-d", to.Database!, .. variables.SelectMany(v => new[] { "-v", v }), "-f", file]);
    }

    /// <summary>The same database as another role; nobody here has a password.</summary>
    public static string As(string connectionString, string role) => new NpgsqlConnectionStringBuilder(connectionString) { Username = role }.ConnectionString;

    public static async Task ExecuteAsync(string connectionString, string sql)
    {
        await using var source = NpgsqlDataSource.Create(connectionString);
        await using var command = source.CreateCommand(sql);
        await command.ExecuteNonQueryAsync();
    }

    public static async Task<string?> ReadAsync(string connectionString, string sql)
    {
        await using var source = NpgsqlDataSource.Create(connectionString);
        await using var command = source.CreateCommand(sql);
        return (string?)await command.ExecuteScalarAsync();
    }

    /// <summary>Hangs: connections are taken, nothing is answered. All its processes are stopped.</summary>
    public Task HangAsync() => SignalAllAsync("STOP");

    public Task ContinueAsync() => SignalAllAsync("CONT");

    /// <summary>As after a power cut: no checkpoint, no goodbye.</summary>
    public async Task CrashAsync()
    {
        server!.Signal("QUIT");
        await server.WaitForExitAsync();
    }

    /// <summary>A base backup with the WAL that it needs, as files under the folder that is returned; gone with the server.</summary>
    public async Task<string> BackUpAsync()
    {
        var target = Path.Combine(folder, $"backup-{Guid.NewGuid():N}");
        var (program, prefix) = Command("pg_basebackup");
        await ChildProcess.RunAsync(program, [.. prefix, "-h", folder, "-p", $"{port}", "-U", "postgres", "-D", target, "-X", "fetch", "-c", "fast"]);
        return target;
    }

    /// <summary>Puts a base backup in the place of all that is there, and goes on from it.</summary>
    /// <param name="backup">As <see cref="BackUpAsync"/> has made it; it can be used again.</param>
    /// <param name="recover">Whether by an archive recovery, which ends on a timeline of its own; else the files are taken for what they are.</param>
    public async Task RestoreAsync(string backup, bool recover)
    {
        if (!server!.HasExited)
        {
            await CrashAsync();
        }

        server.Dispose();
        Directory.Delete(Data, recursive: true);
        await ChildProcess.RunAsync("cp", ["-a", backup, Data]);
        if (recover)
        {
            string[] owner = Environment.IsPrivilegedProcess ? ["-o", "postgres", "-g", "postgres"] : [];
            await ChildProcess.RunAsync("install", [.. owner, "-m", "600", "/dev/null", Path.Combine(Data, "recovery.signal")]);
            // There is no archive: the log that came with the backup is all.
            await File.AppendAllTextAsync(Path.Combine(Data, "postgresql.auto.conf"), "restore_command = 'false'\n");
        }

        await StartAsync();
        NpgsqlConnection.ClearAllPools();
        // Until the recovery ends it answers, but takes no writes.
        await Eventually.IsTrueAsync(
            async () => await ReadAsync(ConnectionString("postgres"), "SELECT 'over' WHERE NOT pg_is_in_recovery()") is not null, "the recovery is over");
    }

    public async ValueTask DisposeAsync()
    {
        if (server is { HasExited: false })
        {
            // A test that failed may have left it hanging.
            await ContinueAsync();
            await CrashAsync();
        }

        server?.Dispose();
        // A later server may be given the same port.
        NpgsqlConnection.ClearPool(new NpgsqlConnection(ConnectionString("postgres")));
        Directory.Delete(folder, recursive: true);
    }

    private async Task SignalAllAsync(string signal)
    {
        var children = await ChildProcess.RunAsync("ps", ["-o", "pid=", "--ppid", $"{server!.Id}"]);
        foreach (var process in children.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Prepend($"{server.Id}"))
        {
            // A backend may have ended since it was listed: that is as good.
            using var kill = ChildProcess.Start("kill", [$"-{signal}", process]);
            await kill.WaitForExitAsync();
        }
    }

    private async Task<string> CopyDatabaseAsync(string template)
    {
        var name = $"t{Guid.NewGuid():N}";
        await using var connection = new NpgsqlConnection(ConnectionString("postgres"));
        await connection.OpenAsync();
        // By files and not block by block through the WAL.
        await using var command = new NpgsqlCommand($"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY", connection);
        await command.ExecuteNonQueryAsync();
        return ConnectionString(name);
    }

    private string ConnectionString(string database) =>
        $"Host={host};Port={port};Username=postgres;Database={database};Pooling=true;Include Error Detail=false";

    private async Task<bool> AnswersAsync()
    {
        try
        {
            await ExecuteAsync(ConnectionString("postgres") + ";Timeout=1", "SELECT 1");
            return true;
        }
        catch (NpgsqlException)
        {
            return false;
        }
    }

    /// <summary>PostgreSQL's programs refuse to run as root: then as the user that Debian's package makes, without a process in between.</summary>
    private static (string Program, string[] Prefix) Command(string program)
    {
        var bin = Directory.GetDirectories("/usr/lib/postgresql").OrderBy(d => int.Parse(Path.GetFileName(d))).Last();
        var path = Path.Combine(bin, "bin", program);
        return Environment.IsPrivilegedProcess
            ? ("setpriv", ["--reuid=postgres", "--regid=postgres", "--clear-groups", path])
            : (path, []);
    }
}
