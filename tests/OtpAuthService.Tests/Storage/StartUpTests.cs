using System.Net;
using Grpc.Core;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Time.Testing;
using OtpAuthService.Hosting;
using OtpAuthService.Storage;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Storage;

/// <summary>The service starts where all is well, and else refuses with a sentence that says what to do.</summary>
[TestFixture]
public class StartUpTests
{
    [TestCase(StoreKind.Sqlite)]
    [TestCase(StoreKind.PostgresRedis)]
    public async Task Start_Again_KeepsWhatWasDecided(StoreKind kind)
    {
        using var stores = await StoresUnderTest.CreateAsync(kind, migrated: false);
        string contractor;
        SoftToken token;
        await using (var first = await OtpService.StartAsync(stores))
        {
            (contractor, token) = await first.RegisteredAsync();
            await first.Auth.VerifyAsync(contractor, token.At(first.Clock.GetUtcNow()));
        }

        await using var second = await OtpService.StartAsync(stores);
        var now = second.Clock.GetUtcNow();
        // The second start may be a step later than the first one: then both OTPs of before are used or gone.
        Assert.That((await second.Auth.VerifyAsync(contractor, token.At(now, -1))).Outcome, Is.EqualTo(Outcome.AlreadyUsed).Or.EqualTo(Outcome.Accepted));
        Assert.That((await second.Auth.VerifyAsync(contractor, token.At(now, 1))).Outcome, Is.EqualTo(Outcome.Accepted));
        Assert.That((await second.Auth.VerifyAsync(contractor, token.At(now))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
    }

    [Test]
    public async Task Start_WithAnotherKek_IsRefused()
    {
        using var stores = await StoresUnderTest.CreateAsync(StoreKind.Postgres);
        await using (var first = await OtpService.StartAsync(stores))
        {
            await first.Operations.IssueAsync();
        }

        var other = Path.GetTempFileName();
        File.Delete(other);
        OtpAuthService.Keys.FileKek.Create(other);
        await ExpectRefusedAsync("The KEK does not open the stored keys", [.. Settings(stores), $"--OtpAuth:KekFile={other}"]);
        File.Delete(other);
    }

    [Test]
    public async Task Start_EmbeddedWhoseKekIsGone_IsRefusedAndMakesNoNewOne()
    {
        using var stores = await StoresUnderTest.CreateAsync(StoreKind.Sqlite, migrated: false);
        await using (await OtpService.StartAsync(stores))
        {
        }

        var kek = Path.Combine(Path.GetDirectoryName(stores.DatabaseFile)!, "kek");
        File.Delete(kek);
        await ExpectRefusedAsync("does not exist", Settings(stores));
        Assert.That(File.Exists(kek), Is.False);
    }

    [Test]
    public async Task Start_OnPostgresWithoutItsSchema_IsRefused()
    {
        using var stores = await StoresUnderTest.CreateAsync(StoreKind.Postgres, migrated: false);
        await ExpectRefusedAsync("OtpAuth__MigrateOnStart=true", [.. Settings(stores), "--OtpAuth:MigrateOnStart=false"]);
    }

    [Test]
    public async Task Start_OnPostgresThatIsNotThere_IsRefused()
    {
        using var stores = await StoresUnderTest.CreateAsync(StoreKind.Postgres);
        await ExpectRefusedAsync(
            "cannot be reached", [.. Settings(stores), $"--ConnectionStrings:Postgres=Host=127.0.0.1;Port={Loopback.FreePort()};Username=nobody"]);
    }

    [Test]
    public async Task Start_OnPostgresWithoutACaller_IsRefused()
    {
        using var stores = await StoresUnderTest.CreateAsync(StoreKind.Postgres);
        await ExpectRefusedAsync("Nobody could call", [.. Settings(stores), "--OtpAuth:LocalCaller:Enabled=false"]);
    }

    [Test]
    public async Task Start_EmbeddedInProduction_IsRefusedUnlessForced()
    {
        using var stores = await StoresUnderTest.CreateAsync(StoreKind.Sqlite, migrated: false);
        await ExpectRefusedAsync("not for production", [.. Settings(stores), "--environment=Production"]);
        await using var forced = await StartAsync([.. Settings(stores), "--environment=Production", "--OtpAuth:AllowEmbeddedInProduction=true"]);
    }

    [TestCase("--Kestrel:Endpoints:Grpc:Url=http://0.0.0.0:0", "is plaintext and not on loopback")]
    [TestCase("--Kestrel:Endpoints:Grpc:Url=http://[::]:0", "is plaintext and not on loopback")]
    [TestCase("--Kestrel:Endpoints:Grpc:Url=http://*:0", "is plaintext and not on loopback")]
    [TestCase("--Kestrel:Endpoints:Grpc:Url=http://unix:/tmp/otp.sock", "is plaintext and not on loopback")]
    [TestCase("--Kestrel:Endpoints:Other:Url=http://otp.bank.example:0", "Endpoint Other is plaintext and not on loopback")]
    [TestCase("--Kestrel:Endpoints:Grpc:Url=https://127.0.0.1:0", "OtpAuth__Tls__CertificateFile")]
    [TestCase("--Kestrel:Endpoints:Management:Url=https://127.0.0.1:0", "OtpAuth__Tls__CertificateFile")]
    [TestCase("--OtpAuth:Tls:CertificateFile=server.pem", "OtpAuth__Tls needs all of")]
    [TestCase("--OtpAuth:CallersFile=callers.json", "it needs OtpAuth__Tls__CertificateFile")]
    public async Task Start_WithAnEndpointOrTlsThatIsNotSafe_IsRefused(string setting, string sentence)
    {
        using var stores = await StoresUnderTest.CreateAsync(StoreKind.Postgres);
        await ExpectRefusedAsync(sentence, [.. Settings(stores), setting]);
    }

    [Test]
    public async Task Start_OnPostgresInProduction_TakesMutualTlsOnly()
    {
        using var stores = await StoresUnderTest.CreateAsync(StoreKind.Postgres, migrated: false);
        using var callers = new CallersUnderTest(CallerRow.Frontend("frontend", "demo"));
        string[] production = [.. Settings(stores), .. callers.Settings, "--environment=Production"];
        await ExpectRefusedAsync("which is not for production", production);
        string[] tlsOnly = [.. production, "--Kestrel:Endpoints:Grpc:Url=https://127.0.0.1:0"];
        await ExpectRefusedAsync("The local caller is whoever connects over loopback", tlsOnly);
        await using var started = await StartAsync([.. tlsOnly, "--OtpAuth:LocalCaller:Enabled=false"]);
    }

    [TestCase("--OtpAuth:MaxClockOffset=00:00:00", "OtpAuth__MaxClockOffset")]
    [TestCase("--OtpAuth:LocalCaller:Institutions:0=Demo Bank", "an institution id is 1 to 32")]
    [TestCase("--ConnectionStrings:Postgres_FILE=/nowhere/at/all", "which does not exist")]
    public async Task Start_WithAWrongSetting_IsRefused(string setting, string sentence)
    {
        using var stores = await StoresUnderTest.CreateAsync(StoreKind.Sqlite);
        await ExpectRefusedAsync(sentence, [.. Settings(stores), setting]);
    }

    [Test]
    public async Task Start_SecretGivenAsAFile_IsRead()
    {
        using var stores = await StoresUnderTest.CreateAsync(StoreKind.Postgres, migrated: false);
        var file = Path.GetTempFileName();
        await File.WriteAllTextAsync(file, stores.PostgresConnectionString + "\n");
        var settings = Settings(stores).Where(s => !s.StartsWith("--ConnectionStrings", StringComparison.Ordinal));
        await using var app = await StartAsync([.. settings, $"--ConnectionStrings:Postgres_FILE={file}"]);
        Assert.That(app.Services.GetRequiredService<StoreSet>().Name, Is.EqualTo("PostgreSQL"));
        File.Delete(file);
    }

    /// <summary>Promise P3: a clock that differs from the database's decides nothing.</summary>
    [Test]
    public async Task Verify_ClockApartFromTheDatabases_IsUnavailableUntilItIsRight()
    {
        using var stores = await StoresUnderTest.CreateAsync(StoreKind.Postgres);
        var clock = new FakeTimeProvider(TimeProvider.System.GetUtcNow());
        await using var service = await OtpService.StartAsync(stores, clock, "--OtpAuth:MaxClockOffset=00:00:30");
        var (contractor, token) = await service.RegisteredAsync();
        using var http = new HttpClient();

        service.Clock.Advance(TimeSpan.FromMinutes(1));
        await Eventually.IsTrueAsync(
            async () => (await http.GetAsync(service.ManagementAddress + "/health/ready")).StatusCode == HttpStatusCode.ServiceUnavailable, "not ready");
        var error = await Assert.ThrowsAsync<RpcException>(async () => await service.Auth.VerifyAsync(contractor, token.At(service.Clock.GetUtcNow())));

        Assert.That(error!.StatusCode, Is.EqualTo(StatusCode.Unavailable));
        Assert.That(error.Status.Detail, Does.Contain("clock"));
        var health = await new Grpc.Health.V1.Health.HealthClient(service.Channel).CheckAsync(new Grpc.Health.V1.HealthCheckRequest());
        Assert.That(health.Status, Is.EqualTo(Grpc.Health.V1.HealthCheckResponse.Types.ServingStatus.NotServing));
    }

    [TestCase("ALTER DATABASE {0} SET synchronous_commit = off")]
    public async Task Start_OnPostgresThatForgetsCommits_IsRefused(string sql)
    {
        using var stores = await StoresUnderTest.CreateAsync(StoreKind.Postgres);
        var database = new Npgsql.NpgsqlConnectionStringBuilder(stores.PostgresConnectionString).Database!;
        await PostgresServer.ExecuteAsync(stores.PostgresConnectionString!, string.Format(System.Globalization.CultureInfo.InvariantCulture, sql, database));
        await ExpectRefusedAsync("synchronous_commit", Settings(stores));
    }

    [TestCase("--ConnectionStrings:Postgres=Nonsense=1", "ConnectionStrings__Postgres")]
    [TestCase("--ConnectionStrings:Redis=localhost,nonsense=1", "ConnectionStrings__Redis")]
    public async Task Start_WithAMalformedConnectionString_IsRefused(string setting, string sentence)
    {
        using var stores = await StoresUnderTest.CreateAsync(StoreKind.Postgres);
        await ExpectRefusedAsync(sentence, [.. Settings(stores), setting]);
    }

    private static async Task ExpectRefusedAsync(string sentence, IEnumerable<string> settings)
    {
        var refused = await Assert.CatchAsync(() => StartAsync(settings));
        Assert.That(refused, Is.InstanceOf<StartRefusedException>().Or.InstanceOf<InvalidDataException>().Or.InstanceOf<OptionsValidationException>());
        Assert.That(refused!.Message, Does.Contain(sentence));
    }

    private static async Task<WebApplication> StartAsync(IEnumerable<string> settings)
    {
        var app = Server.Build([.. settings], builder => builder.Logging.ClearProviders());
        try
        {
            await Server.PrepareAsync(app, TextWriter.Null);
            return app;
        }
        catch
        {
            await app.DisposeAsync();
            throw;
        }
    }

    private static IEnumerable<string> Settings(StoresUnderTest stores) => OtpService.CommonSettings(stores);
}
