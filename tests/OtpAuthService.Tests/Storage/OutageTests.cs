using System.Diagnostics;
using System.Net;
using Grpc.Core;
using Npgsql;
using OtpAuthService.Tests.Credentials;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Storage;

/// <summary>Promise P3: PostgreSQL gone is UNAVAILABLE and never a wrong OTP; Redis gone changes nothing but speed.</summary>
[TestFixture]
public class OutageTests
{
    private static readonly HttpClient Http = new();

    private PostgresServer postgres = null!;
    private RedisServer redis = null!;
    private StoresUnderTest stores = null!;
    private OtpService service = null!;

    private DateTimeOffset Now => service.Clock.GetUtcNow();

    [SetUp]
    public async Task StartAsync()
    {
        postgres = await PostgresServer.StartNewAsync();
        redis = await RedisServer.StartNewAsync();
        stores = await StoresUnderTest.CreateAsync(StoreKind.PostgresRedis, postgres, redis);
        service = await OtpService.StartAsync(stores);
    }

    [TearDown]
    public async Task StopAsync()
    {
        await service.DisposeAsync();
        stores.Dispose();
        await redis.DisposeAsync();
        await postgres.DisposeAsync();
    }

    [Test]
    public async Task Verify_PostgresCrashed_IsUnavailableWithinASecondAndCountsNothing()
    {
        var (contractor, token) = await service.RegisteredAsync();

        await postgres.CrashAsync();
        await ExpectOutageAsync(contractor, token);
        await postgres.StartAsync();

        await ExpectRecoveryAsync(contractor, token);
    }

    /// <summary>The caller is told at once; whoever looks for known credentials hangs on, and reads in the file of the upload once the server goes on.</summary>
    [Test]
    public async Task DryRun_PostgresHangs_KeepsItsFileUntilNobodyReadsInIt()
    {
        await using var holder = new NpgsqlConnection(stores.PostgresConnectionString + ";Pooling=false");
        await holder.OpenAsync();
        await using (var hold = new NpgsqlCommand("BEGIN; LOCK TABLE credentials", holder))
        {
            await hold.ExecuteNonQueryAsync();
        }

        // So many that they are in a file, and not in its cache alone.
        var looking = service.Operations.ImportAsync(new() { Format = ImportFormat.Pskc, DryRun = true }, SupplyStream.Pieces(40_000));
        await HeldRow.IsWaitedForAsync(stores);
        await postgres.HangAsync();
        var refusal = await Refusal.OfAsync(() => looking);

        Assert.That((refusal.Code, UploadsOnDisk()), Is.EqualTo((StatusCode.Unavailable, 1)));
        await postgres.ContinueAsync();
        await Eventually.IsTrueAsync(() => Task.FromResult(UploadsOnDisk() == 0), "it is gone");

        // As SQLite names temporary files, which are removed from their folder at once.
        static int UploadsOnDisk() => new DirectoryInfo("/proc/self/fd").EnumerateFileSystemInfos().Count(f => f.LinkTarget?.Contains("etilqs_", StringComparison.Ordinal) == true);
    }

    [Test]
    public async Task Verify_PostgresHangs_IsUnavailableWithinASecondAndCountsNothing()
    {
        var (contractor, token) = await service.RegisteredAsync();

        await postgres.HangAsync();
        await ExpectOutageAsync(contractor, token);
        await postgres.ContinueAsync();

        await ExpectRecoveryAsync(contractor, token);
    }

    [Test]
    public async Task Verify_SameRequestIdAfterTheOutage_IsDecidedOnce()
    {
        var (contractor, token) = await service.RegisteredAsync();
        var (otp, requestId) = (token.At(Now), Calls.NewRequestId());

        await postgres.HangAsync();
        await ExpectUnavailableAsync(() => service.Auth.VerifyAsync(contractor, otp, requestId));
        await postgres.ContinueAsync();
        await ReadyAsync();

        // The hung transaction may have been carried out meanwhile or not: either way this submission is accepted, and only this one.
        Assert.That((await service.Auth.VerifyAsync(contractor, otp, requestId)).Outcome, Is.EqualTo(Outcome.Accepted));
        Assert.That((await service.Auth.VerifyAsync(contractor, otp)).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
    }

    /// <summary>
    /// Promise P1: a commit that the synchronous standby does not have is no answer yet, for the first delivery as for a retry that finds
    /// its answer already stored.
    /// </summary>
    [Test]
    public async Task Verify_StandbyDoesNotConfirm_IsUnavailableUntilItDoes()
    {
        var (contractor, token) = await service.RegisteredAsync();
        var (otp, requestId) = (token.At(Now), Calls.NewRequestId());

        await SetStandbyAsync("ALTER SYSTEM SET synchronous_standby_names = 'missing'");
        for (var delivery = 0; delivery < 3; delivery++)
        {
            await ExpectUnavailableAsync(() => service.Auth.VerifyAsync(contractor, otp, requestId));
        }

        await SetStandbyAsync("ALTER SYSTEM RESET synchronous_standby_names");
        var answer = await service.Auth.VerifyAsync(contractor, otp, requestId);

        Assert.That(answer.Outcome, Is.EqualTo(Outcome.Accepted));
        Assert.That((await service.Auth.VerifyAsync(contractor, otp)).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
    }

    /// <summary>
    /// Somebody ends the wait for the standby: PostgreSQL answers that commit with success and a warning. Such an acceptance may be lost at a
    /// failover, so it is none (promise P1).
    /// </summary>
    [Test]
    public async Task Verify_WaitForTheStandbyCutShort_IsUnavailable()
    {
        var (contractor, token) = await service.RegisteredAsync();
        var (otp, requestId) = (token.At(Now), Calls.NewRequestId());
        await SetStandbyAsync("ALTER SYSTEM SET synchronous_standby_names = 'missing'");

        var call = ExpectUnavailableAsync(() => service.Auth.VerifyAsync(contractor, otp, requestId));
        await Eventually.IsTrueAsync(
            async () => await PostgresServer.ReadAsync(
                stores.PostgresConnectionString!, "SELECT pg_cancel_backend(pid)::text FROM pg_stat_activity WHERE wait_event = 'SyncRep'") is not null,
            "the wait for the standby is cut short");
        await call;

        await SetStandbyAsync("ALTER SYSTEM RESET synchronous_standby_names");
        var retried = await service.Auth.VerifyAsync(contractor, otp, requestId);
        Assert.That((retried.Outcome, retried.Repeated), Is.EqualTo((Outcome.Accepted, true)));
    }

    /// <summary>
    /// The rows of the shared statement are there before its commit: the answer leaves after it. The OTP may be used then or not, and the
    /// retry finds out.
    /// </summary>
    [Test]
    public async Task Verify_PostgresDiesBeforeTheCommitIsConfirmed_IsUnavailable()
    {
        var (contractor, token) = await service.RegisteredAsync();
        var (otp, requestId) = (token.At(Now), Calls.NewRequestId());
        await SetStandbyAsync("ALTER SYSTEM SET synchronous_standby_names = 'missing'");

        var call = ExpectUnavailableAsync(() => service.Auth.VerifyAsync(contractor, otp, requestId));
        await Eventually.IsTrueAsync(
            async () => await PostgresServer.ReadAsync(
                stores.PostgresConnectionString!, "SELECT wait_event FROM pg_stat_activity WHERE wait_event = 'SyncRep' LIMIT 1") is not null,
            "the commit waits for its standby");
        await postgres.CrashAsync();
        await call;

        await postgres.StartAsync();
        await ReadyAsync();
        await SetStandbyAsync("ALTER SYSTEM RESET synchronous_standby_names");
        Assert.That((await service.Auth.VerifyAsync(contractor, otp, requestId)).Outcome, Is.EqualTo(Outcome.Accepted));
        Assert.That((await service.Auth.VerifyAsync(contractor, otp)).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
    }

    /// <summary>Whoever waits behind a batch that hangs does not wait for a time limit of their own after it.</summary>
    [Test]
    public async Task Verify_PostgresHangsUnderLoad_EveryCallIsUnavailableWithinASecond()
    {
        var (contractor, token) = await service.RegisteredAsync();
        var (other, otherToken) = await service.RegisteredAsync();
        await service.Auth.VerifyAsync(contractor, token.At(Now));
        await service.Auth.VerifyAsync(other, otherToken.At(Now));

        await postgres.HangAsync();
        var calls = Enumerable.Range(0, 60).Select(n => (n % 3) switch
        {
            0 => ExpectUnavailableAsync(() => service.Auth.VerifyAsync(contractor, token.At(Now, 1))),
            1 => ExpectUnavailableAsync(() => service.Auth.VerifyAsync(contractor, token.WrongAt(Now))),
            _ => ExpectUnavailableAsync(() => service.Auth.VerifyAsync(other, otherToken.At(Now, 1))),
        });
        await Task.WhenAll(calls);
        await postgres.ContinueAsync();
        await ReadyAsync();

        Assert.That((await service.Operations.BindingAsync(contractor)).ConsecutiveFailures, Is.Zero, "nothing was counted");
    }

    /// <summary>The import's transaction outlives the call that began it, and the keys that the call then zeroes.</summary>
    [Test]
    public async Task Import_AbandonedInAnOutage_TakesInTheRightKeysOrNothing()
    {
        var (requestId, key) = (Calls.NewRequestId(), "12345678901234567890"u8.ToArray());
        var file = PskcFiles.WithPlainKeys(("ABCD00000001", key));
        Func<Task> import = async () => await service.Operations.ImportPskcAsync(file, requestId);

        await postgres.HangAsync();
        var error = await Assert.ThrowsAsync<RpcException>(async () => await import());
        Assert.That(error!.StatusCode, Is.EqualTo(StatusCode.Unavailable));
        await postgres.ContinueAsync();
        await ReadyAsync();

        await import();
        var otp = new OtpNet.Totp(key).ComputeTotp(Now.UtcDateTime);
        Assert.That((await service.Auth.RegisterAsync(Calls.NewContractor(), "ABCD00000001", otp)).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    [Test]
    public async Task Verify_RedisFlushedBetweenTwoUses_IsAlreadyUsed()
    {
        var (contractor, token) = await service.RegisteredAsync();
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
        await Eventually.IsTrueAsync(async () => await redis.CountKeysAsync() > 0, "Redis has been told");

        await redis.FlushAsync();

        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
    }

    [Test]
    public async Task Verify_RedisKilledBetweenTwoUses_IsAlreadyUsedAndComesBack()
    {
        var (contractor, token) = await service.RegisteredAsync();
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));

        redis.Kill();

        for (var i = 0; i < 10; i++)
        {
            Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
        }

        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now, 1))).Outcome, Is.EqualTo(Outcome.Accepted));
        await service.ExpectMetricAsync("otp_replay_cache_degraded", 1);
        Assert.That(await StatusAsync("/health/ready"), Is.EqualTo(HttpStatusCode.OK), "Redis gone does not turn ready off");

        await redis.StartAsync();
        await Eventually.IsTrueAsync(
            async () =>
            {
                await service.Auth.VerifyAsync(contractor, token.At(Now));
                return await service.MetricAsync("otp_replay_cache_degraded") == 0;
            },
            "Redis is asked again");
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now, 1))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
    }

    [Test]
    public async Task Verify_RedisHangs_IsAnsweredFromPostgres()
    {
        var (contractor, token) = await service.RegisteredAsync();

        redis.Hang();

        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
        redis.Continue();
    }

    /// <summary>Redis may lie: a step it calls used is refused, but nothing it says is ever a yes.</summary>
    [Test]
    public async Task Verify_RedisSaysUnusedOfAUsedStep_IsAlreadyUsed()
    {
        var (contractor, token) = await service.RegisteredAsync();
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
        await Eventually.IsTrueAsync(async () => await redis.CountKeysAsync() > 0, "Redis has been told");

        await redis.FlushAsync();

        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
    }

    [Test]
    public async Task Redis_AfterAWholeJourney_HoldsNoContractorCredentialOrOtp()
    {
        var (contractor, token) = await service.RegisteredAsync();
        await service.Auth.VerifyAsync(contractor, token.At(Now));
        await Eventually.IsTrueAsync(async () => await redis.CountKeysAsync() > 0, "Redis has been told");

        var content = string.Join(' ', (await redis.SetsAsync()).SelectMany(set => set.Value.Prepend(set.Key)));

        Assert.That(content, Is.Not.Empty);
        Assert.That(content, Does.Not.Contain(contractor).And.Not.Contain(token.CredentialId).And.Not.Contain(token.At(Now)));
    }

    private async Task SetStandbyAsync(string sql)
    {
        await PostgresServer.ExecuteAsync(stores.PostgresConnectionString!, sql);
        await PostgresServer.ExecuteAsync(stores.PostgresConnectionString!, "SELECT pg_reload_conf()");
        await Eventually.IsTrueAsync(
            async () => await PostgresServer.ReadAsync(stores.PostgresConnectionString!, "SHOW synchronous_standby_names")
                == (sql.Contains("missing", StringComparison.Ordinal) ? "missing" : ""),
            "the setting is in force");
    }

    private async Task ExpectOutageAsync(string contractor, SoftToken token)
    {
        for (var i = 0; i < 5; i++)
        {
            var error = await ExpectUnavailableAsync(() => service.Auth.VerifyAsync(contractor, token.At(Now)));
            Assert.That(error.GetRpcStatus()?.GetDetail<Google.Rpc.RetryInfo>()?.RetryDelay, Is.Not.Null);
            await ExpectUnavailableAsync(() => service.Auth.VerifyAsync(contractor, token.WrongAt(Now)));
        }

        await Eventually.IsTrueAsync(async () => await StatusAsync("/health/ready") == HttpStatusCode.ServiceUnavailable, "ready is off", seconds: 3);
        Assert.That(await StatusAsync("/health/live"), Is.EqualTo(HttpStatusCode.OK));
    }

    private async Task ExpectRecoveryAsync(string contractor, SoftToken token)
    {
        await ReadyAsync();
        Assert.That((await service.Operations.BindingAsync(contractor)).ConsecutiveFailures, Is.Zero, "nothing was counted");
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now, 1))).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    private static async Task<RpcException> ExpectUnavailableAsync(Func<AsyncUnaryCall<VerifyResponse>> call)
    {
        var took = Stopwatch.StartNew();
        var error = await Assert.ThrowsAsync<RpcException>(async () => await call());
        Assert.That(error!.StatusCode, Is.EqualTo(StatusCode.Unavailable));
        Assert.That(took.Elapsed, Is.LessThan(TimeSpan.FromSeconds(1)));
        return error;
    }

    private Task ReadyAsync() => Eventually.IsTrueAsync(async () => await StatusAsync("/health/ready") == HttpStatusCode.OK, "ready again");

    private async Task<HttpStatusCode> StatusAsync(string path)
    {
        using var response = await Http.GetAsync(service.ManagementAddress + path);
        return response.StatusCode;
    }
}
