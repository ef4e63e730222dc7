using Grpc.Net.Client;
using Npgsql;
using OtpAuthService.Bench.Lab;
using OtpAuthService.Bench.Populations;
using OtpAuthService.Bench.Workloads;
using OtpAuthService.Keys;
using OtpAuthService.V1;

namespace OtpAuthService.Bench.Rotation;

/// <summary>The published service on a PostgreSQL and a Redis of its own, full of credentials, and hands on its rotation.</summary>
internal sealed class RotationLab : IAsyncDisposable
{
    public const int Credentials = 100_000;

    /// <summary>More than the service answers with so few in flight: that many OTPs are made ready.</summary>
    private const int MostVerifies = 20_000;

    private readonly string folder = Directory.CreateTempSubdirectory("otpauth-rotation-").FullName;
    private readonly Population population = new(Credentials);
    private Publication published = null!;
    private string database = null!;
    private NpgsqlDataSource source = null!;
    private NpgsqlConnection? turn;

    public Stores Stores { get; private set; } = null!;

    public MeasuredServer Server { get; private set; } = null!;

    public VerifyCalls Calls { get; private set; } = null!;

    private string KekFile => Path.Combine(folder, "kek");

    public async Task SetUpAsync()
    {
        var publishing = Publication.MakeAsync(Path.Combine(folder, "published"));
        Stores = await Stores.StartAsync();
        database = await Stores.Postgres.CreateDatabaseAsync();
        source = NpgsqlDataSource.Create(database);
        FileKek.Create(KekFile);
        published = await publishing;
        await StartServerAsync();
        using var dataKey = await ProductTables.OpenDataKeyAsync(database, KekFile);
        await ProductTables.LoadAsync(database, population, dataKey);
        // Logs are left to grow: to empty them would wait for the background.
        Calls = new VerifyCalls(population, mixed: false, MostVerifies, new Resets(Resets.Nothing, ForgetUseAsync));
    }

    public async Task StartServerAsync() =>
        Server = await MeasuredServer.StartProductAsync(published, database, Stores.Redis.ConnectionString, KekFile);

    /// <summary>As kill -9 does it, and as the out-of-memory killer does.</summary>
    public void KillServer() => Server.Dispose();

    public async Task RotateAsync()
    {
        using var channel = GrpcChannel.ForAddress(Server.Plain.Address);
        await new OtpOperations.OtpOperationsClient(channel).RotateKeysAsync(new RotateKeysRequest
        {
            RequestId = Guid.NewGuid().ToString("N"), InstitutionId = Population.Institution, Kind = KeyKind.DataKey, Reason = "benchmark",
        });
    }

    /// <summary>Credentials that are not under the newest data key.</summary>
    public async Task<long> CountLeftAsync()
    {
        await using var count = source.CreateCommand(
            "SELECT count(*) FROM credentials WHERE key_version < (SELECT max(version) FROM data_keys WHERE use = 1)");
        return (long)(await count.ExecuteScalarAsync())!;
    }

    /// <summary>The service takes us for another replica that is at it, and waits: so the same minute is measured with and without.</summary>
    public async Task PauseRewrappingAsync()
    {
        turn = await source.OpenConnectionAsync();
        await ExecuteAsync(turn, $"SELECT pg_advisory_lock({Rewrapping.Turn})");
    }

    public async Task ResumeRewrappingAsync()
    {
        await ExecuteAsync(turn!, $"SELECT pg_advisory_unlock({Rewrapping.Turn})");
        await turn!.DisposeAsync();
        turn = null;
    }

    public async ValueTask DisposeAsync()
    {
        Server?.Dispose();
        if (source is not null)
        {
            await source.DisposeAsync();
        }

        if (Stores is { } stores)
        {
            await stores.DisposeAsync();
        }

        Directory.Delete(folder, recursive: true);
    }

    private async Task ForgetUseAsync()
    {
        await Stores.FlushRedisAsync();
        await ProductTables.ForgetUseAsync(database);
    }

    private static async Task ExecuteAsync(NpgsqlConnection connection, string sql)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync();
    }
}
