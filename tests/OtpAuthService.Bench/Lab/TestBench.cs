using OtpAuthService.Keys;
using OtpAuthService.Bench.Client;
using OtpAuthService.Bench.Measuring;
using OtpAuthService.Bench.Populations;
using OtpAuthService.Bench.Reporting;
using OtpAuthService.Bench.Rivals;
using OtpAuthService.Bench.Workloads;
using OtpAuthService.Tests.Fixtures;

namespace OtpAuthService.Bench.Lab;

/// <summary>Everything a run measures, started and loaded: stores, servers, credentials, and the scenarios on them.</summary>
/// <param name="only">Keys of the scenarios to measure; all where it is empty.</param>
internal sealed class TestBench(Plan plan, IReadOnlyCollection<string> only, ProgressLine progress) : IAsyncDisposable
{
    public const int Small = 10_000;
    public const int Large = 1_000_000;

    /// <summary>More than any server here answers to Verify on the machines at hand: that many OTPs are made ready.</summary>
    private const int MostVerifies = 40_000;

    private const int MostRivalVerifies = 8_000;

    private const string VerifyMethod = "/otpauth.v1.OtpAuth/Verify";
    private const string NoOpMethod = "/otpauth.bench.Rival/NoOp";
    private const string WriteMethod = "/otpauth.bench.Rival/Write";

    private readonly string folder = Directory.CreateTempSubdirectory("otpauth-bench-").FullName;
    private readonly TestAuthority authority = new();
    private readonly List<MeasuredServer> servers = [];
    private readonly List<Scenario> scenarios = [];
    private Publication published = null!;

    public Stores Stores { get; private set; } = null!;

    public IReadOnlyList<Scenario> Scenarios => [.. scenarios.Where(scenario => only.Count == 0 || only.Contains(scenario.Key))];

    /// <summary>Products with the credentials they hold: each is to have seen them once.</summary>
    public List<(Scenario Scenario, Population Population)> Products { get; } = [];

    public async Task SetUpAsync(int credentials, CancellationToken cancellation)
    {
        (string[] Keys, Func<Task> Add)[] steps =
        [
            (["bare_grpc"], AddBareGrpcAsync),
            (["noop"], AddNoOpAsync),
            (["single_update"], () => AddSingleUpdateAsync(credentials)),
            (["batched_write"], () => AddBatchedWriteAsync(credentials)),
            (["naive"], () => AddNaiveAsync(credentials)),
            (["identity"], () => AddIdentityAsync(credentials)),
            (["verify", "verify_mix", "verify_mtls", "verify_redis_gone", "verify_100k"], () => AddProductAsync(credentials)),
            (["verify_10k"], () => AddSizeAsync("verify_10k", $"Verify, {Small:N0} credentials", Small)),
            (["verify_1m"], () => AddSizeAsync("verify_1m", $"Verify, {Large:N0} credentials", Large)),
        ];
        if (only.Except(steps.SelectMany(step => step.Keys)).FirstOrDefault() is { } unknown)
        {
            throw new LoadFailedException($"There is no scenario {unknown}; there are {string.Join(", ", steps.SelectMany(step => step.Keys))}.");
        }

        progress.Show("publishing the service, starting PostgreSQL and Redis");
        var publishing = Publication.MakeAsync(Path.Combine(folder, "published"));
        Stores = await Stores.StartAsync();
        published = await publishing;
        foreach (var (_, add) in steps.Where(step => only.Count == 0 || step.Keys.Intersect(only).Any()))
        {
            cancellation.ThrowIfCancellationRequested();
            await add();
        }
    }

    /// <summary>What the servers wrote last, for a run that failed.</summary>
    public string Output() => string.Join('\n', servers.SelectMany(server => server.Output.Split('\n').TakeLast(6)));

    public async ValueTask DisposeAsync()
    {
        servers.ForEach(server => server.Dispose());
        if (Stores is { } stores)
        {
            await stores.DisposeAsync();
        }

        authority.Dispose();
        Directory.Delete(folder, recursive: true);
    }

    private async Task AddBareGrpcAsync()
    {
        progress.Show("starting the rivals");
        var server = await StartRivalAsync(RivalKind.BareGrpc, postgres: "");
        scenarios.Add(new Scenario("bare_grpc", "bare gRPC", server, NoOpMethod, new EmptyCalls(), plan.SideInFlight));
    }

    private async Task AddNoOpAsync()
    {
        var server = await StartRivalAsync(RivalKind.NoOp, postgres: "");
        scenarios.Add(new Scenario("noop", "no-op Verify", server, VerifyMethod, new NoOpCalls(), plan.InFlight));
    }

    private async Task AddSingleUpdateAsync(int rows)
    {
        var database = await Stores.Postgres.CreateDatabaseAsync();
        await RivalTables.LoadRowsAsync(database, rows);
        var server = await StartRivalAsync(RivalKind.SingleUpdate, database);
        scenarios.Add(new Scenario("single_update", "one UPDATE per call", server, WriteMethod, new RowCalls(rows, Resets.Nothing), plan.InFlight));
    }

    private async Task AddBatchedWriteAsync(int credentials)
    {
        var database = await Stores.Postgres.CreateDatabaseAsync();
        var server = await StartRivalAsync(RivalKind.BatchedWrite, database);
        await ProductTables.LoadAsync(database, new Population(credentials), new PinnedKey(DataKey.SizeInBytes));
        var calls = new RowCalls(credentials, () => ProductTables.EmptyLogsAsync(database));
        scenarios.Add(new Scenario("batched_write", "batched write", server, WriteMethod, calls, plan.InFlight));
    }

    private async Task AddNaiveAsync(int credentials)
    {
        progress.Show($"loading {credentials:N0} credentials into rivals");
        var database = await Stores.Postgres.CreateDatabaseAsync();
        var server = await StartRivalAsync(RivalKind.Naive, database);
        var population = new Population(credentials);
        await RivalTables.LoadNaiveAsync(database, population);
        var calls = new VerifyCalls(
            population, mixed: false, MostRivalVerifies, new Resets(() => RivalTables.EmptyNaiveLogAsync(database), Stores.FlushRedisAsync));
        scenarios.Add(new Scenario("naive", "naive: Otp.NET + EF Core", server, VerifyMethod, calls, plan.InFlight));
    }

    private async Task AddIdentityAsync(int credentials)
    {
        var database = await Stores.Postgres.CreateDatabaseAsync();
        var server = await StartRivalAsync(RivalKind.Identity, database);
        var population = new Population(credentials);
        await RivalTables.LoadIdentityAsync(database, population);
        var calls = new VerifyCalls(population, mixed: false, MostRivalVerifies, new Resets(Resets.Nothing, Resets.Nothing));
        scenarios.Add(new Scenario("identity", "ASP.NET Core Identity", server, VerifyMethod, calls, plan.SideInFlight));
    }

    /// <summary>The product with the number of credentials that the comparison is made with.</summary>
    private async Task AddProductAsync(int credentials)
    {
        progress.Show($"loading {credentials:N0} credentials into the service");
        var (server, population, database) = await StartProductAsync(credentials, authority);
        var right = new VerifyCalls(population, mixed: false, MostVerifies, ResetsOf(database));
        var mix = new VerifyCalls(population, mixed: true, MostVerifies, ResetsOf(database));
        var verify = new Scenario("verify", "Verify", server, VerifyMethod, right, plan.InFlight);
        Products.Add((verify, population));
        scenarios.AddRange(
            verify,
            verify with { Key = "verify_mix", Title = "Verify: 85 % right, 10 % wrong, 5 % replayed", Workload = mix, InFlight = plan.SideInFlight },
            verify with { Key = "verify_mtls", Title = "Verify over mTLS", Endpoint = server.Tls!, InFlight = plan.SideInFlight },
            verify with { Key = "verify_redis_gone", Title = "Verify, Redis gone", InFlight = [128], Before = Stores.StopRedisAsync, After = Stores.RestartRedisAsync },
            verify with { Key = "verify_100k", Title = $"Verify, {credentials:N0} credentials", InFlight = [128], InBursts = true });
    }

    /// <summary>The product with another number of credentials: what does it cost that there are more?</summary>
    private async Task AddSizeAsync(string key, string title, int credentials)
    {
        progress.Show($"loading {credentials:N0} credentials into another instance of the service");
        var (server, population, database) = await StartProductAsync(credentials);
        var calls = new VerifyCalls(population, mixed: false, MostVerifies, ResetsOf(database));
        var scenario = new Scenario(key, title, server, VerifyMethod, calls, [128]) { InBursts = true };
        Products.Add((scenario, population));
        scenarios.Add(scenario);
    }

    private Task<LoadedProduct> StartProductAsync(int credentials, TestAuthority? authority = null) =>
        LoadedProduct.StartAsync(published, Stores, folder, credentials, authority, servers.Add);

    private async Task<MeasuredServer> StartRivalAsync(RivalKind rival, string postgres)
    {
        var server = await MeasuredServer.StartRivalAsync(published, rival, postgres, Stores.Redis.ConnectionString);
        servers.Add(server);
        return server;
    }

    private Resets ResetsOf(string database) => new(
        () => ProductTables.EmptyLogsAsync(database),
        async () =>
        {
            await ProductTables.ForgetUseAsync(database);
            await Stores.FlushRedisAsync();
        });
}
