using System.Security.Cryptography;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Time.Testing;
using OtpAuthService.Tests.Fixtures;

namespace OtpAuthService.Tests;

/// <summary>Set-ups that are broken in one place each, for real, and what otpctl doctor says of them. Servers of the tests' own: they are hurt, and roles belong to a whole server.</summary>
[TestFixture]
public sealed class OtpCtlDoctorTests
{
    private PostgresServer postgres = null!;
    private RedisServer redis = null!;

    [OneTimeSetUp]
    public async Task StartAsync() => (postgres, redis) = (await PostgresServer.StartNewAsync(), await RedisServer.StartNewAsync());

    [OneTimeTearDown]
    public async Task StopAsync()
    {
        await redis.DisposeAsync();
        await postgres.DisposeAsync();
    }

    [Test]
    public async Task SetUp_AsForProduction_HasNothingToSeeTo()
    {
        await using var good = await SetUp.StartAsync(postgres, redis);

        var (exitCode, found) = await good.DiagnoseAsync();

        Assert.That(found.Where(finding => finding.State != "OK"), Is.Empty);
        Assert.That(found.Select(finding => finding.Subject), Is.EquivalentTo(
        [
            "database", "clock", "database.schema", "database.commits", "database.rights", "database.connections",
            "redis", "redis.eviction", "redis.memory", "redis.persistence", "kek", "kek.version",
            "certificate.server", "certificate.trust", "certificate.revocation", "callers", "audit.records", "audit.heads",
            "client.certificate", "client.address", "client.clock",
        ]));
        Assert.That(exitCode, Is.Zero);
        Assert.That(good.Service.Errors.Errors, Is.Empty);
    }

    [Test]
    public async Task Redis_ThatEvictsAnyKey_IsAWarning()
    {
        await using var setUp = await SetUp.StartAsync(postgres, redis);
        await redis.ConfigureAsync("maxmemory", "100mb");
        await redis.ConfigureAsync("maxmemory-policy", "allkeys-lru");

        var (exitCode, found) = await setUp.DiagnoseAsync();
        await redis.ConfigureAsync("maxmemory-policy", "volatile-ttl");
        var (_, after) = await setUp.DiagnoseAsync();
        await redis.ConfigureAsync("maxmemory", "0");

        Expect(found, "WARNING", "redis.eviction", "maxmemory-policy is allkeys-lru", "volatile-ttl");
        Assert.That(exitCode, Is.Zero, "it works, slower");
        Assert.That(after.Single(finding => finding.Subject == "redis.eviction").State, Is.EqualTo("OK"));
    }

    [Test]
    public async Task Redis_ThatIsNearlyFull_IsAWarning()
    {
        await using var setUp = await SetUp.StartAsync(postgres, redis);
        await redis.ConfigureAsync("maxmemory", "1mb");

        var (_, found) = await setUp.DiagnoseAsync();
        await redis.ConfigureAsync("maxmemory", "0");

        Expect(found, "WARNING", "redis.memory", "of 1 MiB allowed", "maxmemory");
    }

    [Test]
    public async Task Redis_ThatCannotSave_IsAWarning()
    {
        var folder = Directory.CreateTempSubdirectory("otpauth-redis-").FullName;
        await using var broken = await RedisServer.StartNewAsync("--dir", folder);
        await using var setUp = await SetUp.StartAsync(postgres, broken);
        Directory.Delete(folder);
        await broken.SaveInVainAsync();

        var (_, found) = await setUp.DiagnoseAsync();

        Expect(found, "WARNING", "redis.persistence", "takes no writes", "appendonly no");
    }

    [Test]
    public async Task Redis_ThatIsGone_IsAWarning()
    {
        await using var dying = await RedisServer.StartNewAsync();
        await using var setUp = await SetUp.StartAsync(postgres, dying);
        dying.Kill();

        var (exitCode, found) = await setUp.DiagnoseAsync();

        Expect(found, "WARNING", "redis", "Redis does not answer", "ConnectionStrings__Redis");
        Assert.That(exitCode, Is.Zero);
    }

    [Test]
    public async Task Database_ThatForgetsCommits_IsAFault()
    {
        await using var setUp = await SetUp.StartAsync(postgres, redis);
        await PostgresServer.ExecuteAsync(setUp.Dba, "ALTER SYSTEM SET synchronous_commit = off");
        await PostgresServer.ExecuteAsync(setUp.Dba, "SELECT pg_reload_conf()");
        try
        {
            await Eventually.IsTrueAsync(
                async () => (await setUp.DiagnoseAsync()).Found.Any(finding => finding is { Subject: "database.commits", State: "FAULT" }), "the setting is in force");
            var (exitCode, found) = await setUp.DiagnoseAsync();

            Expect(found, "FAULT", "database.commits", "synchronous_commit = off", "Set synchronous_commit to on");
            Assert.That(exitCode, Is.EqualTo(6));
            Assert.That(found[0].Subject, Is.EqualTo("database.commits"), "the faults first");
        }
        finally
        {
            await PostgresServer.ExecuteAsync(setUp.Dba, "ALTER SYSTEM RESET synchronous_commit");
            await PostgresServer.ExecuteAsync(setUp.Dba, "SELECT pg_reload_conf()");
        }
    }

    [TestCase("REVOKE UPDATE (last_time_step) ON credentials FROM otp_service", "UPDATE (last_time_step) on credentials")]
    [TestCase("REVOKE DELETE ON answers FROM otp_service", "DELETE on answers")]
    [TestCase("REVOKE EXECUTE ON FUNCTION ensure_audit_partitions(bigint) FROM otp_service", "EXECUTE on ensure_audit_partitions(bigint)")]
    [TestCase("REVOKE SELECT ON \"__EFMigrationsHistory\" FROM otp_service", "permission denied for table __EFMigrationsHistory")]
    [TestCase("REVOKE SELECT ON data_keys FROM otp_service", "SELECT on data_keys")]
    public async Task Role_ThatLacksAGrant_IsAFault(string revoke, string missing)
    {
        await using var setUp = await SetUp.StartAsync(postgres, redis);
        await PostgresServer.ExecuteAsync(setUp.Dba, revoke);

        var (exitCode, found) = await setUp.DiagnoseAsync();

        Expect(found, "FAULT", "database.rights", missing, "otpctl migrate --apply");
        Assert.That(exitCode, Is.EqualTo(6));
    }

    [Test]
    public async Task Role_ThatCanRewriteRecords_IsAWarning()
    {
        await using var setUp = await SetUp.StartAsync(postgres, redis);
        await PostgresServer.ExecuteAsync(setUp.Dba, "GRANT UPDATE ON audit_trail TO otp_service");

        Expect((await setUp.DiagnoseAsync()).Found, "WARNING", "database.rights", "can alter and remove audit records", "make-roles.sql");
    }

    [Test]
    public async Task Schema_ThatLacksAMigration_IsAFault()
    {
        await using var setUp = await SetUp.StartAsync(postgres, redis);
        await PostgresServer.ExecuteAsync(
            setUp.Dba, """DELETE FROM "__EFMigrationsHistory" WHERE migration_id = (SELECT max(migration_id) FROM "__EFMigrationsHistory")""");

        Expect((await setUp.DiagnoseAsync()).Found, "FAULT", "database.schema", "The schema lacks 1 migrations", "otpctl migrate --apply");
    }

    [Test]
    public async Task Schema_OfALaterVersion_IsAWarning()
    {
        await using var setUp = await SetUp.StartAsync(postgres, redis);
        await PostgresServer.ExecuteAsync(setUp.Dba, """INSERT INTO "__EFMigrationsHistory" VALUES ('20990101000000_Later', '10')""");

        Expect((await setUp.DiagnoseAsync()).Found, "WARNING", "database.schema", "20990101000000_Later", "rolled out");
    }

    [Test]
    public async Task Database_ThatIsGone_IsAFaultAndTheRestIsStillLookedAt()
    {
        await using var dying = await PostgresServer.StartNewAsync();
        await using var setUp = await SetUp.StartAsync(dying, redis);
        await dying.CrashAsync();

        var (exitCode, found) = await setUp.DiagnoseAsync();

        Expect(found, "FAULT", "database", "PostgreSQL cannot be reached", "ConnectionStrings__Postgres");
        Assert.That(exitCode, Is.EqualTo(6));
        Assert.That(found.Where(finding => finding.State == "OK").Select(finding => finding.Subject), Is.SupersetOf(["redis", "kek", "certificate.server", "client.address"]));
    }

    [Test]
    public async Task Kek_ThatIsAnother_IsAFault()
    {
        await using var setUp = await SetUp.StartAsync(postgres, redis);
        await File.WriteAllTextAsync(setUp.Kek, Convert.ToBase64String(RandomNumberGenerator.GetBytes(32)) + "\n");

        var (exitCode, found) = await setUp.DiagnoseAsync();

        Expect(found, "FAULT", "kek", "The KEK does not open the stored keys", "do not make a new one");
        Assert.That(exitCode, Is.EqualTo(6));
    }

    [Test]
    public async Task Kek_ThatIsGone_IsAFaultBeforeAnyKeyIsMissed()
    {
        await using var setUp = await SetUp.StartAsync(postgres, redis);
        File.Delete(setUp.Kek);

        Expect((await setUp.DiagnoseAsync()).Found, "FAULT", "kek", "KEK", "a restart would fail now");
    }

    [Test]
    public async Task Kek_WithANewerVersion_IsAWarning()
    {
        await using var setUp = await SetUp.StartAsync(postgres, redis);
        await File.AppendAllTextAsync(setUp.Kek, Convert.ToBase64String(RandomNumberGenerator.GetBytes(32)) + "\n");

        Expect((await setUp.DiagnoseAsync()).Found, "WARNING", "kek.version", "older version of the KEK", "otpctl key rotate --kind kek");
    }

    [Test]
    public async Task Clock_ThatIsOff_IsAFault()
    {
        await using var setUp = await SetUp.StartAsync(postgres, redis, settings: "--OtpAuth:MaxClockOffset=00:00:30");
        setUp.Service.Clock.Advance(TimeSpan.FromMinutes(5));

        var (exitCode, found) = await setUp.DiagnoseAsync();

        Expect(found, "FAULT", "clock", "ahead of the database's; at most 30 s are allowed", "Have NTP set");
        Expect(found, "WARNING", "client.clock", "behind the service's", "Have NTP set this machine's clock");
        Assert.That(exitCode, Is.EqualTo(6));
    }

    [TestCase(2, "WARNING", "ends in")]
    [TestCase(-1, "FAULT", "has ended")]
    public async Task ServerCertificate_AtItsEnd_IsTold(int days, string state, string sentence)
    {
        await using var setUp = await SetUp.StartAsync(postgres, redis);
        // The doctor itself would not connect to one that has ended: it asks over loopback.
        setUp.Callers.Serve(setUp.Callers.Authority.Issue(CertificateContent.Server with { ValidFrom = TimeSpan.FromDays(-20), ValidUntil = TimeSpan.FromDays(days) }));
        (int ExitCode, List<Finding> Found) diagnosis = (0, []);
        await Eventually.IsTrueAsync(
            async () => (diagnosis = await setUp.DiagnoseLocallyAsync()).Found.Any(finding => finding.Subject == "certificate.server" && finding.State != "OK"), "the file was read");

        Expect(diagnosis.Found, state, "certificate.server", sentence, "OtpAuth__Tls__CertificateFile");
        Assert.That(diagnosis.ExitCode, Is.EqualTo(state == "FAULT" ? 6 : 0));
    }

    [Test]
    public async Task RevocationList_ThatIsDue_IsAWarning()
    {
        await using var setUp = await SetUp.StartAsync(postgres, redis);
        await File.WriteAllTextAsync(setUp.Callers.RevokedFile, await File.ReadAllTextAsync(setUp.Callers.Authority.WriteRevocationList()));
        // Lists of the test's authority are for a day.
        setUp.Service.Clock.Advance(TimeSpan.FromDays(1.5));

        await Eventually.IsTrueAsync(
            async () => (await setUp.DiagnoseAsync()).Found.Any(finding => finding is { Subject: "certificate.revocation", State: "WARNING" }), "the list was read and is due");
    }

    [Test]
    public async Task ClientCertificate_AtItsEnd_IsToldBeforeAnythingIsSent()
    {
        await using var setUp = await SetUp.StartAsync(postgres, redis);
        var ending = setUp.Callers.Authority.Issue(
            CertificateContent.Client with { Uris = [CallersUnderTest.NameOf("operator")], ValidFrom = TimeSpan.FromDays(-20), ValidUntil = TimeSpan.FromDays(1) });
        var ended = setUp.Callers.Authority.Issue((CertificateContent.Client with { Uris = [CallersUnderTest.NameOf("operator")] }).Expired());

        var soon = await setUp.DiagnoseAsync(ending);
        var late = await setUp.DiagnoseAsync(ended);

        Expect(soon.Found, "WARNING", "client.certificate", "ends in", "--certificate and --key");
        Assert.That(soon.ExitCode, Is.Zero);
        Expect(late.Found, "FAULT", "client.certificate", "has ended", "--certificate and --key");
        Assert.That((late.ExitCode, late.Found.Count), Is.EqualTo((6, 1)));
    }

    [Test]
    public async Task Callers_ThatEnd_AreWarningsForTheirInstitutionOnly()
    {
        await using var setUp = await SetUp.StartAsync(postgres, redis);
        var now = TimeProvider.System.GetUtcNow();
        setUp.Callers.Write(
            CallerRow.Operator("operator", "demo"),
            CallerRow.Frontend("web", "demo") with { NotAfter = now.AddDays(3.5) },
            CallerRow.Frontend("theirs", "minato") with { NotAfter = now.AddDays(3.5) },
            CallerRow.Gateway("mobile", new GrantRow("demo", now.AddDays(-80), now.AddDays(5.5))));
        List<Finding> found = [];
        await Eventually.IsTrueAsync(
            async () => (found = (await setUp.DiagnoseAsync()).Found).Any(finding => finding.Subject == "callers.web"), "the file was read");

        Expect(found, "WARNING", "callers.web", "Caller web ends in 3 days", "notAfter");
        Expect(found, "WARNING", "callers.mobile.bypass", "bypass grant of mobile for demo ends in 5 days", "90 days");
        Assert.That(found.Select(finding => finding.Subject), Has.None.Contains("theirs"));
    }

    [Test]
    public async Task Audit_WithoutAFileForHeads_IsAWarning()
    {
        await using var setUp = await SetUp.StartAsync(postgres, redis, settings: "--OtpAuth:AuditHeadsFile=");

        Expect((await setUp.DiagnoseAsync()).Found, "WARNING", "audit.heads", "go to the log only", "OtpAuth__AuditHeadsFile");
    }

    [Test]
    public async Task EmbeddedDefault_IsForTryingOut()
    {
        await using var service = await OtpService.StartAsync(StoreKind.Sqlite);

        var (exitCode, found) = await SetUp.ReadAsync("--address", service.Address);

        Expect(found, "WARNING", "embedded", "for trying out", "ConnectionStrings__Postgres");
        Assert.That(exitCode, Is.Zero);
        Assert.That(service.Errors.Errors, Is.Empty);
    }

    [Test]
    public async Task Service_ThatDoesNotAnswer_IsAFaultWithWhatToLookAt()
    {
        var (exitCode, found) = await SetUp.ReadAsync("--address", $"http://127.0.0.1:{Loopback.FreePort()}");

        Expect(found, "FAULT", "client.address", "UNAVAILABLE", "No connection was made");
        Assert.That(exitCode, Is.EqualTo(6));
    }

    [Test]
    public async Task Doctor_Piped_PrintsALineEachAndASummary()
    {
        await using var service = await OtpService.StartAsync(StoreKind.Sqlite);

        var result = await OtpCtlProcess.RunAsync("doctor", "--address", service.Address);

        var lines = result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.That(lines[..^1], Has.All.Match("^(FAULT|WARNING|OK) [a-z.]+: [A-Z].*[.]$").And.Some.StartsWith("WARNING embedded: "));
        Assert.That(lines[^1], Does.Match("^FAULT: 0, WARNING: [1-9], OK: [1-9][0-9]*$"));
        Assert.That(result.Errors, Is.Empty);
    }

    /// <summary>Something that the doctor found.</summary>
    internal sealed record Finding(string Subject, string State, string Detail, string Advice);

    private static void Expect(List<Finding> found, string state, string subject, string detail, string advice)
    {
        var all = string.Join('\n', found);
        var finding = found.SingleOrDefault(f => f.Subject == subject);
        Assert.That(finding, Is.Not.Null, all);
        Assert.That(finding!.State, Is.EqualTo(state), all);
        Assert.That(finding.Detail, Does.Contain(detail), all);
        Assert.That(finding.Advice, Does.Contain(advice), all);
        Assert.That(found.Where(f => f.State is "FAULT" or "WARNING").Select(f => f.Advice), Has.None.Empty, "each says what to do");
    }

    /// <summary>The service as in production: roles of deploy/make-roles.sql, PostgreSQL, Redis, mutual TLS, heads shipped, and the machine's time.</summary>
    private sealed class SetUp : IAsyncDisposable
    {
        private readonly StoresUnderTest stores;

        private SetUp(StoresUnderTest stores, CallersUnderTest callers, OtpService service)
        {
            this.stores = stores;
            Callers = callers;
            Service = service;
        }

        public CallersUnderTest Callers { get; }

        public OtpService Service { get; }

        public string Dba => stores.PostgresConnectionString!;

        public string Kek => stores.Settings["OtpAuth:KekFile"];

        public static async Task<SetUp> StartAsync(PostgresServer postgres, RedisServer redis, params string[] settings)
        {
            var stores = await StoresUnderTest.CreateAsync(StoreKind.PostgresRedis, postgres, redis, migrated: false);
            await PostgresServer.RunFileAsync(stores.PostgresConnectionString!, RepositoryFolder.Of("deploy/make-roles.sql"));
            var migration = PostgresServer.As(stores.PostgresConnectionString!, "otp_migration");
            var migrated = await OtpCtlProcess.RunAsync("", ["migrate", "--apply"], ("ConnectionStrings__Postgres", migration));
            Assert.That(migrated.ExitCode, Is.Zero, migrated.Errors);
            var callers = new CallersUnderTest(CallerRow.Operator("operator", "demo"));
            var heads = Path.Combine(callers.Authority.Folder, "heads.jsonl");
            var service = await OtpService.StartAsync(
                stores,
                new FakeTimeProvider(TimeProvider.System.GetUtcNow()),
                [
                    $"--ConnectionStrings:Postgres={PostgresServer.As(stores.PostgresConnectionString!, "otp_service")}", "--OtpAuth:MigrateOnStart=false",
                    "--OtpAuth:LocalCaller:Enabled=false", $"--OtpAuth:AuditHeadsFile={heads}", "--OtpAuth:AuditHeadInterval=00:00:01",
                    // No plaintext beside it.
                    "--Kestrel:Endpoints:Grpc:Url=https://127.0.0.1:0", .. callers.Settings.Where(setting => !setting.Contains(":GrpcTls:", StringComparison.Ordinal)), .. settings,
                ]);
            if (!settings.Any(setting => setting.Contains("AuditHeadsFile", StringComparison.Ordinal)))
            {
                await Eventually.IsTrueAsync(() => Task.FromResult(File.Exists(heads)), "a head is shipped");
            }

            return new SetUp(stores, callers, service);
        }

        public Task<(int ExitCode, List<Finding> Found)> DiagnoseAsync(TestCertificate? certificate = null)
        {
            var own = certificate ?? Callers.CertificateOf("operator");
            return ReadAsync("--address", Service.TlsAddress, "--trust", Callers.Authority.BundleFile, "--certificate", own.CertificateFile, "--key", own.KeyFile);
        }

        /// <summary>By the service's own code for Diagnose, without TLS in between.</summary>
        public async Task<(int ExitCode, List<Finding> Found)> DiagnoseLocallyAsync()
        {
            await using var replica = await OtpService.StartAsync(
                stores, Service.Clock, [$"--ConnectionStrings:Postgres={PostgresServer.As(Dba, "otp_service")}", "--OtpAuth:MigrateOnStart=false", .. Callers.Settings]);
            return await ReadAsync("--address", replica.Address);
        }

        public static async Task<(int ExitCode, List<Finding> Found)> ReadAsync(params string[] connection)
        {
            var result = await OtpCtlProcess.RunAsync(["doctor", "--json", .. connection]);
            Assert.That(result.Errors, Is.Empty);
            return (result.ExitCode,
            [
                .. JsonNode.Parse(result.Output)!["diagnoses"]!.AsArray().Select(one =>
                    new Finding((string)one!["subject"]!, ((string)one["state"]!)["DIAGNOSIS_STATE_".Length..], (string)one["detail"]!, (string)one["advice"]!)),
            ]);
        }

        public async ValueTask DisposeAsync()
        {
            await Service.DisposeAsync();
            Callers.Dispose();
            stores.Dispose();
        }
    }
}
