using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Npgsql;
using OtpAuthService.Hosting;
using OtpAuthService.Storage;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;
using StackExchange.Redis;

namespace OtpAuthService.Tests.Storage;

/// <summary>TLS from the service to servers of the test's own, which take nothing else and whose certificates are for <c>localhost</c> only.</summary>
[TestFixture]
public class StoreTlsTests
{
    private const string Password = "p4ss-that-nobody-reads";

    private static readonly CertificateContent ForLocalhost = CertificateContent.Server with { Addresses = [] };

    private TestAuthority authority = null!;
    private TestAuthority otherAuthority = null!;
    private PostgresServer postgres = null!;
    private TestCertificate server = null!;
    private TestCertificate client = null!;

    [OneTimeSetUp]
    public async Task StartAsync()
    {
        authority = new TestAuthority();
        otherAuthority = new TestAuthority("Another CA");
        server = authority.Issue(ForLocalhost);
        // clientcert=verify-full holds the common name against the role.
        client = authority.Issue(CertificateContent.Client with { Name = "certified" });
        postgres = await PostgresServer.StartTlsAsync(
            server,
            authority.BundleFile,
            "hostssl all otp 127.0.0.1/32 scram-sha-256",
            "hostssl all certified 127.0.0.1/32 scram-sha-256 clientcert=verify-full");
        using var stores = await StoresUnderTest.CreateAsync(StoreKind.Postgres, postgres);
        await PostgresServer.ExecuteAsync(
            stores.PostgresConnectionString!, $"CREATE ROLE otp LOGIN PASSWORD '{Password}'; CREATE ROLE certified LOGIN PASSWORD '{Password}'");
    }

    [OneTimeTearDown]
    public async Task StopAsync()
    {
        await postgres.DisposeAsync();
        authority.Dispose();
        otherAuthority.Dispose();
    }

    /// <summary>Both data sources: readings go by one, the shared statements of Verify by the other.</summary>
    [TestCase("otp", false)]
    [TestCase("certified", true)]
    public async Task Verify_PostgresByTls_IsDecided(string role, bool withCertificate)
    {
        using var stores = await OwnedByAsync(role);
        await using var service = await OtpService.StartAsync(
            stores, settings: ByTls(stores, role, withCertificate ? $";SSL Certificate={client.CertificateFile};SSL Key={client.KeyFile}" : ""));
        var (contractor, token) = await service.RegisteredAsync();

        var answer = await service.Auth.VerifyAsync(contractor, token.At(service.Clock.GetUtcNow()));

        Assert.That(answer.Outcome, Is.EqualTo(Outcome.Accepted));
        var byTls = await PostgresServer.ReadAsync(
            stores.PostgresConnectionString!,
            $"SELECT string_agg(DISTINCT ssl::text, ' ') FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE datname = current_database() AND usename = '{role}'");
        Assert.That(byTls, Is.EqualTo("true"));
        Assert.That(service.Errors.Errors, Is.Empty);
        Assert.That(service.Errors.All, Does.Not.Contain(Password));
    }

    [TestCase("SSL Mode=VerifyFull", "certificate is not believed")]
    [TestCase("SSL Mode=VerifyFull;Root Certificate={other}", "certificate is not believed")]
    [TestCase("SSL Mode=VerifyCA;Root Certificate={other}", "certificate is not believed")]
    [TestCase("SSL Mode=VerifyFull;Root Certificate={root};Host=127.0.0.1", "for the name given as Host")]
    [TestCase("SSL Mode=Disable", "no encryption")]
    [TestCase("SSL Mode=VerifyFull;Root Certificate={root};Username=certified", "requires a valid client certificate")]
    [TestCase("SSL Mode=VerifyFull;Root Certificate={root};Password=wrong", "password authentication failed")]
    [TestCase("SSL Mode=VerifyFull;Root Certificate=/nowhere/root.pem", "/nowhere/root.pem")]
    [TestCase("SSL Mode=VerifyFull;Root Certificate={root};SSL Certificate={key};SSL Key={key}", "do not contain a PEM with a CERTIFICATE label")]
    public async Task Start_PostgresThatCannotBeTrustedOrDoesNotTrust_IsRefusedWithTheReason(string tls, string sentence)
    {
        using var stores = await OwnedByAsync("otp");
        var settings = tls.Replace("{other}", otherAuthority.BundleFile, StringComparison.Ordinal)
            .Replace("{root}", authority.BundleFile, StringComparison.Ordinal)
            .Replace("{key}", client.KeyFile, StringComparison.Ordinal);
        var connection = $"Host=localhost;Port={postgres.Port};Username=otp;Password={Password};Database={DatabaseOf(stores)};{settings}";

        var refused = await Assert.CatchAsync(() => PrepareAsync(new ErrorLog(), [.. OtpService.CommonSettings(stores), $"--ConnectionStrings:Postgres={connection}"]));
        Assert.That(refused, Is.InstanceOf<StartRefusedException>());
        Assert.That(refused!.Message, Does.Contain(sentence).And.Not.Contain(Password));
    }

    /// <summary>A replay of a credential whose row is held is answered by nobody but Redis.</summary>
    [Test]
    public async Task Verify_RedisByMutualTls_HasReplaysRefusedByIt()
    {
        await using var redis = await StartRedisAsync();
        using var stores = await StoresUnderTest.CreateAsync(StoreKind.Postgres);
        await using var service = await OtpService.StartAsync(
            stores, settings: [$"--ConnectionStrings:Redis={redis.TlsConnectionString},sslHost=localhost", Trust(authority), .. ShowCertificate]);
        var (contractor, token) = await service.RegisteredAsync();
        var otp = token.At(service.Clock.GetUtcNow());
        Assert.That((await service.Auth.VerifyAsync(contractor, otp)).Outcome, Is.EqualTo(Outcome.Accepted));
        await Eventually.IsTrueAsync(async () => (await redis.SetsAsync()).Count == 2, "Redis has been told of the steps of Register and Verify");

        await using (await HeldRow.CredentialAsync(stores, token.CredentialId))
        {
            Assert.That((await service.Auth.VerifyAsync(contractor, otp)).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
        }

        Assert.That(await IsDegradedAsync(service), Is.False);
    }

    [TestCase("a wrong root")]
    [TestCase("no root but the machine's")]
    [TestCase("no certificate")]
    [TestCase("a certificate of another authority")]
    [TestCase("a wrong host name")]
    public async Task Verify_RedisThatCannotBeTrustedOrDoesNotTrust_IsDecidedByPostgresAlone(string with)
    {
        await using var redis = await StartRedisAsync();
        using var stores = await StoresUnderTest.CreateAsync(StoreKind.Postgres);
        var stranger = otherAuthority.IssueClient();
        string[] tls = with switch
        {
            "a wrong root" => [Trust(otherAuthority), .. ShowCertificate],
            "no root but the machine's" => ShowCertificate,
            "no certificate" => [Trust(authority)],
            "a certificate of another authority" => [Trust(authority), .. Show(stranger)],
            _ => [Trust(authority), .. ShowCertificate],
        };
        var host = with == "a wrong host name" ? "" : ",sslHost=localhost";

        await using var service = await OtpService.StartAsync(
            stores, settings: [$"--ConnectionStrings:Redis={redis.TlsConnectionString}{host}", .. tls]);

        var (contractor, token) = await service.RegisteredAsync();
        var otp = token.At(service.Clock.GetUtcNow());
        Assert.That((await service.Auth.VerifyAsync(contractor, otp)).Outcome, Is.EqualTo(Outcome.Accepted));
        Assert.That((await service.Auth.VerifyAsync(contractor, otp)).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
        Assert.That(await IsDegradedAsync(service), Is.True);
        Assert.That(await redis.SetsAsync(), Is.Empty);
        Assert.That(service.Errors.Errors, Is.Empty);
    }

    /// <summary>Broken in between, too: the connection that cannot be opened then is tried again.</summary>
    [Test]
    public async Task Redis_FilesRenewed_AreUsedFromTheNextConnectionOn()
    {
        string[] files = [Path.GetTempFileName(), Path.GetTempFileName(), Path.GetTempFileName()];
        var (clientRoots, certificate, key) = (files[0], files[1], files[2]);
        Renew(authority, client);
        await using var redis = await RedisServer.StartTlsAsync(server, clientRoots);
        using var stores = await StoresUnderTest.CreateAsync(StoreKind.Postgres);
        await using var service = await OtpService.StartAsync(
            stores,
            settings:
            [
                $"--ConnectionStrings:Redis={redis.TlsConnectionString},sslHost=localhost", Trust(authority),
                $"--OtpAuth:Redis:CertificateFile={certificate}", $"--OtpAuth:Redis:KeyFile={key}",
            ]);
        Assert.That(await IsDegradedAsync(service), Is.False);

        redis.Kill();
        Renew(otherAuthority, otherAuthority.IssueClient());
        var renewed = await File.ReadAllTextAsync(certificate);
        await File.WriteAllTextAsync(certificate, "half of it");
        await redis.StartAsync();
        await Eventually.IsTrueAsync(() => IsDegradedAsync(service), "Redis is left out");
        await File.WriteAllTextAsync(certificate, renewed);

        await Eventually.IsTrueAsync(async () => !await IsDegradedAsync(service), "Redis is connected to again");
        Array.ForEach(files, File.Delete);

        // The server reads its roots of clients when it starts.
        void Renew(TestAuthority by, TestCertificate shown)
        {
            File.Copy(by.BundleFile, clientRoots, overwrite: true);
            File.Copy(shown.CertificateFile, certificate, overwrite: true);
            File.Copy(shown.KeyFile, key, overwrite: true);
        }
    }

    [TestCase("ssl=true", "--OtpAuth:Redis:CertificateFile={cert}", "need each other")]
    [TestCase("ssl=true", "--OtpAuth:Redis:KeyFile={key}", "need each other")]
    [TestCase("ssl=true", "--OtpAuth:Redis:TrustFile=/nowhere/root.pem", "OtpAuth__Redis__TrustFile names /nowhere/root.pem, which does not exist")]
    [TestCase("ssl=true", "--OtpAuth:Redis:TrustFile={key}", "holds no certificate")]
    [TestCase("ssl=true", "--OtpAuth:Redis:CertificateFile={key} --OtpAuth:Redis:KeyFile={key}", "The files under OtpAuth__Redis cannot be used")]
    [TestCase("ssl=false", "--OtpAuth:Redis:TrustFile={root}", "add ssl=true")]
    public async Task Start_WithRedisFilesThatCannotBeUsed_IsRefused(string ssl, string files, string sentence)
    {
        using var stores = await StoresUnderTest.CreateAsync(StoreKind.Postgres);
        var settings = files.Replace("{root}", authority.BundleFile, StringComparison.Ordinal)
            .Replace("{cert}", client.CertificateFile, StringComparison.Ordinal)
            .Replace("{key}", client.KeyFile, StringComparison.Ordinal)
            .Split(' ');

        var refused = await Assert.CatchAsync(() => PrepareAsync(
            new ErrorLog(), [.. OtpService.CommonSettings(stores), $"--ConnectionStrings:Redis=127.0.0.1:1,{ssl},password={Password}", .. settings]));

        Assert.That(refused, Is.InstanceOf<InvalidDataException>().Or.InstanceOf<OptionsValidationException>());
        Assert.That(refused!.Message, Does.Contain(sentence).And.Not.Contain(Password));
    }

    /// <summary>The servers are not there: what is said of the way to them is said before it is tried.</summary>
    [TestCase("Production", "", "", 1)]
    [TestCase("Production", ";SSL Mode=VerifyFull", ",ssl=true", 0)]
    [TestCase("Development", "", "", 0)]
    public async Task Start_ServersElsewhereWithoutTls_IsWarnedOfOnceEachInProduction(string environment, string postgresTls, string redisTls, int warnings)
    {
        using var stores = await StoresUnderTest.CreateAsync(StoreKind.Postgres);
        using var callers = new CallersUnderTest(CallerRow.Frontend("frontend", "demo"));
        using var log = new ErrorLog();

        await Assert.CatchAsync(() => PrepareAsync(
            log,
            [
                .. OtpService.CommonSettings(stores), .. callers.Settings, "--Kestrel:Endpoints:Grpc:Url=https://127.0.0.1:0",
                "--OtpAuth:LocalCaller:Enabled=false", $"--environment={environment}",
                $"--ConnectionStrings:Postgres=Host=db.invalid;Username=otp;Password={Password}{postgresTls}",
                $"--ConnectionStrings:Redis=redis.invalid:6379,password={Password}{redisTls}",
            ]));

        foreach (var setting in new[] { "ConnectionStrings__Postgres", "ConnectionStrings__Redis" })
        {
            Assert.That(log.All.Split($"{setting} does not ask for TLS"), Has.Length.EqualTo(1 + warnings), setting);
        }

        Assert.That(log.All, Does.Not.Contain(Password));
    }

    [TestCase("Host=db.bank.example", true)]
    [TestCase("Host=10.0.0.5", true)]
    [TestCase("Host=db.bank.example;SSL Mode=Prefer", true)]
    [TestCase("Host=db.bank.example;SSL Mode=Disable", true)]
    [TestCase("Host=db.bank.example;SSL Mode=Require", false)]
    [TestCase("Host=db.bank.example;SSL Mode=VerifyCA", false)]
    [TestCase("Host=db.bank.example;SSL Mode=VerifyFull", false)]
    [TestCase("Host=localhost", false)]
    [TestCase("Host=LOCALHOST:5433", false)]
    [TestCase("Host=localhost.bank.example", true)]
    [TestCase("Host=127.0.0.1:5433", false)]
    [TestCase("Host=::1", false)]
    [TestCase("Host=[::1]:5433", false)]
    [TestCase("Host=/var/run/postgresql", false)]
    [TestCase("Host=127.0.0.1,localhost", false)]
    [TestCase("Host=127.0.0.1, db.bank.example", true)]
    public void MayBePlaintext_OfPostgres_IsWhatNeitherTlsNorThisMachineRulesOut(string connection, bool may) =>
        Assert.That(StoreTls.MayBePlaintext(new NpgsqlConnectionStringBuilder(connection)), Is.EqualTo(may));

    [TestCase("redis.bank.example", true)]
    [TestCase("10.0.0.5:6379", true)]
    [TestCase("redis.bank.example,ssl=true", false)]
    [TestCase("localhost:6379", false)]
    [TestCase("127.0.0.1:6379", false)]
    [TestCase("[::1]:6379", false)]
    [TestCase("!/run/redis.sock", false)]
    [TestCase("127.0.0.1:6379,redis.bank.example", true)]
    public void MayBePlaintext_OfRedis_IsWhatNeitherTlsNorThisMachineRulesOut(string connection, bool may) =>
        Assert.That(StoreTls.MayBePlaintext(ConfigurationOptions.Parse(connection)), Is.EqualTo(may));

    private string[] ShowCertificate => Show(client);

    private static string Trust(TestAuthority authority) => $"--OtpAuth:Redis:TrustFile={authority.BundleFile}";

    private static string[] Show(TestCertificate certificate) =>
        [$"--OtpAuth:Redis:CertificateFile={certificate.CertificateFile}", $"--OtpAuth:Redis:KeyFile={certificate.KeyFile}"];

    private Task<RedisServer> StartRedisAsync() => RedisServer.StartTlsAsync(server, authority.BundleFile);

    private static async Task<bool> IsDegradedAsync(OtpService service)
    {
        using var http = new HttpClient();
        var metrics = await http.GetStringAsync(service.ManagementAddress + "/metrics");
        var line = metrics.Split('\n').Single(l => l.StartsWith("otp_replay_cache_degraded", StringComparison.Ordinal));
        return line.Split(' ')[1] == "1";
    }

    private string[] ByTls(StoresUnderTest stores, string role, string more) =>
    [
        $"--ConnectionStrings:Postgres=Host=localhost;Port={postgres.Port};Username={role};Password={Password};Database={DatabaseOf(stores)};"
            + $"SSL Mode=VerifyFull;Root Certificate={authority.BundleFile}{more}",
    ];

    private async Task<StoresUnderTest> OwnedByAsync(string role)
    {
        var stores = await StoresUnderTest.CreateAsync(StoreKind.Postgres, postgres, migrated: false);
        await PostgresServer.ExecuteAsync(stores.PostgresConnectionString!, $"ALTER DATABASE {DatabaseOf(stores)} OWNER TO {role}");
        return stores;
    }

    private static string DatabaseOf(StoresUnderTest stores) => new NpgsqlConnectionStringBuilder(stores.PostgresConnectionString).Database!;

    private static async Task PrepareAsync(ErrorLog log, string[] settings)
    {
        await using var app = Server.Build(settings, builder =>
        {
            builder.Logging.ClearProviders();
            builder.Logging.AddProvider(log);
        });
        await Server.PrepareAsync(app, TextWriter.Null);
    }
}
