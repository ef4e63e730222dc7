using System.Net;
using OtpAuthService.Client;
using OtpAuthService.Tests.Fixtures;

namespace OtpAuthService.Tests;

/// <summary>The shipped client over real replicas, processes of their own on one PostgreSQL and Redis, that go and come back under load.</summary>
public sealed class RollingRestartTests
{
    private static readonly IPAddress[] Addresses = [IPAddress.Parse("127.0.0.1"), IPAddress.Parse("127.0.0.2")];

    private readonly List<ServiceProcess> started = [];
    private StoresUnderTest stores = null!;
    private CallersUnderTest callers = null!;
    private int port;

    [SetUp]
    public async Task CreateAsync()
    {
        stores = await StoresUnderTest.CreateAsync(StoreKind.PostgresRedis);
        callers = new CallersUnderTest(new CallerRow("front", ["Frontend", "Operator"], "demo"));
        port = Loopback.FreePort();
    }

    [TearDown]
    public async Task RemoveAsync()
    {
        foreach (var replica in started)
        {
            await replica.DisposeAsync();
        }

        started.Clear();
        callers.Dispose();
        stores.Dispose();
    }

    [Test]
    public async Task Replicas_RestartedOneByOneAndOneKilledUnderLoad_AnswerEveryCallAndAcceptEachOtpOnce()
    {
        var replicas = new[] { await StartAsync(Addresses[0]), await StartAsync(Addresses[1]) };
        await using var load = new CustomerLoad(Connect());
        await load.GoesOnAsync();

        for (var n = 0; n < replicas.Length; n++)
        {
            Assert.That(await replicas[n].TerminateAsync(), Is.Zero);
            await load.GoesOnAsync();
            replicas[n] = await StartAsync(Addresses[n]);
            await load.GoesOnAsync();
        }

        replicas[0].Kill();
        await load.GoesOnAsync();

        await ExpectEachCallAnsweredAndEachOtpAcceptedOnceAsync(load);
        // Each process writes to chains of its own: all of them have decided something.
        Assert.That(await ReadAsync("SELECT (count(DISTINCT chain_id) >= 4)::text FROM audit_trail"), Is.EqualTo("true"));
    }

    /// <summary>The migration comes first, while the version before still serves alone; then replica by replica.</summary>
    [Test]
    public async Task Replicas_OfTheVersionBeforeReplacedUnderLoad_AnswerEveryCallAndAcceptEachOtpOnce()
    {
        if (Environment.GetEnvironmentVariable("OTP_SERVICE_BEFORE") is not { Length: > 0 } before)
        {
            Assert.Ignore("deploy/check.sh upgrade builds the version before, and runs this.");
            return;
        }

        stores.Dispose();
        stores = await StoresUnderTest.CreateAsync(StoreKind.PostgresRedis, migrated: false);
        await using (await ServiceProcess.StartVersionAsync(before, stores))
        {
            // Has brought the schema to what it knows.
        }

        var replicas = new[] { await StartAsync(Addresses[0], before), await StartAsync(Addresses[1], before) };
        await using var load = new CustomerLoad(Connect());
        await load.GoesOnAsync();

        var migrated = await OtpCtlProcess.RunAsync("", ["migrate", "--apply"], ("ConnectionStrings__Postgres", stores.PostgresConnectionString!));
        Assert.That(migrated.ExitCode, Is.Zero, migrated.Errors);
        await TestContext.Out.WriteLineAsync(migrated.Output);
        await load.GoesOnAsync();

        for (var n = 0; n < replicas.Length; n++)
        {
            Assert.That(await replicas[n].TerminateAsync(), Is.Zero);
            replicas[n] = await StartAsync(Addresses[n]);
            await load.GoesOnAsync();
        }

        await ExpectEachCallAnsweredAndEachOtpAcceptedOnceAsync(load);
    }

    private async Task ExpectEachCallAnsweredAndEachOtpAcceptedOnceAsync(CustomerLoad load)
    {
        await load.StopAsync();
        await TestContext.Out.WriteLineAsync($"{load.Answered} calls answered, {load.Repeated} of them by the answer of an earlier delivery, the slowest after {load.Slowest.TotalMilliseconds:F0} ms");
        Assert.That(load.Failures, Is.Empty);
        Assert.That(
            await ReadAsync("SELECT count(*)::text FROM (SELECT 1 FROM audit_trail WHERE outcome = 1 AND time_step IS NOT NULL GROUP BY credential_ref, time_step HAVING count(*) > 1) twice"),
            Is.EqualTo("0"));
    }

    private async Task<ServiceProcess> StartAsync(IPAddress address, string? version = null)
    {
        var replica = await ServiceProcess.StartVersionAsync(
            version ?? ServiceProcess.ThisVersion, stores, [.. callers.Settings, $"--Kestrel:Endpoints:GrpcTls:Url=https://{address}:{port}", "--OtpAuth:MigrateOnStart=false"]);
        started.Add(replica);
        return replica;
    }

    private OtpAuthChannel Connect()
    {
        var certificate = callers.CertificateOf("front");
        return OtpAuthChannel.Create(
            $"dns:///localhost:{port}",
            new() { CertificateFile = certificate.CertificateFile, KeyFile = certificate.KeyFile, TrustFile = callers.TrustFile },
            (_, _) => Task.FromResult(Addresses));
    }

    private Task<string?> ReadAsync(string sql) => PostgresServer.ReadAsync(stores.PostgresConnectionString!, sql);
}
