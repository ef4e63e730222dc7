using Grpc.Core;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Storage;

/// <summary>
/// A PostgreSQL that is really taken back, by its own base backup: what was accepted since is not accepted again, without an operator. Each test has a server of
/// its own.
/// </summary>
[TestFixture]
public class LostCommitsTests
{
    private PostgresServer postgres = null!;
    private StoresUnderTest stores = null!;

    [SetUp]
    public async Task StartAsync()
    {
        postgres = await PostgresServer.StartNewAsync();
        stores = await StoresUnderTest.CreateAsync(StoreKind.Postgres, postgres);
    }

    [TearDown]
    public async Task StopAsync()
    {
        stores.Dispose();
        await postgres.DisposeAsync();
    }

    /// <summary>By a recovery, which has a timeline of its own, or by files that go on as if nothing had been.</summary>
    [Test]
    public async Task Replicas_WhoseDatabaseWentBack_AcceptNothingOfTheLostInterval([Values] bool recover)
    {
        await using var first = await OtpService.StartAsync(stores);
        await using var second = await OtpService.StartAsync(stores, first.Clock);
        var (contractor, token) = await first.RegisteredAsync();
        var backup = await postgres.BackUpAsync();
        var otp = token.At(first.Clock.GetUtcNow());
        Assert.That((await first.Auth.VerifyAsync(contractor, otp)).Outcome, Is.EqualTo(Outcome.Accepted));

        await postgres.RestoreAsync(backup, recover);

        // The database says that the OTP was never used, and the second replica never saw it.
        Assert.That((await AnswerAsync(second, contractor, otp)).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
        Assert.That((await AnswerAsync(first, contractor, otp)).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
        await ExpectFencedAsync(first, second);

        await PastTheFenceAsync(first);
        Assert.That((await second.Auth.VerifyAsync(contractor, token.At(first.Clock.GetUtcNow()))).Outcome, Is.EqualTo(Outcome.Accepted));
        Assert.That((await first.VerifyAuditAsync()).Finding, Is.Null, "the records go on, on chains of their own");
    }

    [Test]
    public async Task Replica_StartedOnADatabaseThatWasRecovered_RaisesTheFenceFirst()
    {
        var (contractor, token, otp, clock, backup) = await UseAsync();
        await postgres.RestoreAsync(backup, recover: true);

        await using var service = await OtpService.StartAsync(stores, clock);

        Assert.That((await service.Auth.VerifyAsync(contractor, otp)).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
        await ExpectFencedAsync(service);
        Assert.That(service.Errors.Errors.Single(), Does.StartWith("The database may have lost commits: the data is served by another PostgreSQL, or from another timeline, than before."));
        await PastTheFenceAsync(service);
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(clock.GetUtcNow()))).Outcome, Is.EqualTo(Outcome.Accepted));

        // Once: the next start finds it done.
        await using var next = await OtpService.StartAsync(stores, clock);
        Assert.That(await next.MetricAsync("otp_fences_total"), Is.Zero);
        Assert.That((await next.Auth.VerifyAsync(contractor, token.At(clock.GetUtcNow(), 1))).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    /// <summary>All replicas are down, and the server's own numbers say nothing: the shipped head does.</summary>
    [Test]
    public async Task Replica_StartedOnCopiedFiles_RaisesTheFenceByTheShippedHead()
    {
        var heads = Path.Combine(Path.GetDirectoryName(stores.DatabaseFile)!, "..", "heads.jsonl");
        string[] shipping = ["--OtpAuth:AuditHeadInterval=00:00:01", $"--OtpAuth:AuditHeadsFile={heads}"];
        var (contractor, token, otp, clock, backup) = await UseAsync(heads, shipping);
        await postgres.RestoreAsync(backup, recover: false);

        await using var service = await OtpService.StartAsync(stores, clock, shipping);

        Assert.That((await service.Auth.VerifyAsync(contractor, otp)).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
        await ExpectFencedAsync(service);
        Assert.That(service.Errors.Errors[0], Does.StartWith("The database may have lost commits: the database does not hold the audit head that was shipped last."));
        await PastTheFenceAsync(service);
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(clock.GetUtcNow()))).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    /// <summary>A dump that is read back in place: the server is the same, and its log goes on. The missing head is found within the interval of heads.</summary>
    [Test]
    public async Task Replica_WhoseShippedHeadIsGone_RaisesTheFenceOnce()
    {
        await using var service = await OtpService.StartAsync(stores, clock: null, "--OtpAuth:AuditHeadInterval=00:00:01");
        var (contractor, token) = await service.RegisteredAsync();
        await Eventually.IsTrueAsync(() => Task.FromResult(service.Errors.All.Contains("Audit head ", StringComparison.Ordinal)), "a head is shipped");

        await PostgresServer.ExecuteAsync(stores.PostgresConnectionString!, "DELETE FROM audit_heads");

        await service.ExpectMetricAsync("otp_fences_total", 1);
        await service.ExpectMetricAsync("otp_store_available", 1);
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(service.Clock.GetUtcNow()))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
        // It stays missing, and is looked for again and again.
        await Eventually.IsTrueAsync(() => Task.FromResult(service.Errors.Errors.Any(e => e.Contains("RolledBack", StringComparison.Ordinal))), "the alarm");
        Assert.That(await service.MetricAsync("otp_fences_total"), Is.EqualTo(1));
    }

    /// <summary>A promoted standby may answer before any replica has looked: the statement itself finds that nobody has fenced it yet.</summary>
    [Test]
    public async Task Decision_OnAServerThatNobodyHasFenced_IsUnavailableAndNotCounted()
    {
        await using var service = await OtpService.StartAsync(stores);
        var (contractor, token) = await service.RegisteredAsync();
        await PostgresServer.ExecuteAsync(
            stores.PostgresConnectionString!, "ALTER TABLE fences DISABLE TRIGGER ALL; UPDATE fences SET evidence = replace(evidence, 'timeline', 'another timeline')");
        var before = await service.TracesAsync();

        var now = service.Clock.GetUtcNow();
        foreach (var otp in new[] { token.At(now), token.WrongAt(now) })
        {
            var refusal = await Refusal.OfAsync(async () => await service.Auth.VerifyAsync(contractor, otp));
            Assert.That((refusal.Code, refusal.Info?.Reason), Is.EqualTo((StatusCode.Unavailable, "STORE_UNAVAILABLE")));
        }

        Assert.That(await service.TracesAsync(), Is.EqualTo(before));
    }

    /// <summary>A service that was there, and is gone: an OTP was accepted after the backup.</summary>
    private async Task<(string Contractor, SoftToken Token, string Otp, Microsoft.Extensions.Time.Testing.FakeTimeProvider Clock, string Backup)> UseAsync(
        string? heads = null, params string[] settings)
    {
        await using var service = await OtpService.StartAsync(stores, clock: null, settings);
        var (contractor, token) = await service.RegisteredAsync();
        var backup = await postgres.BackUpAsync();
        var otp = token.At(service.Clock.GetUtcNow());
        Assert.That((await service.Auth.VerifyAsync(contractor, otp)).Outcome, Is.EqualTo(Outcome.Accepted));
        if (heads is not null)
        {
            var shipped = File.Exists(heads) ? new FileInfo(heads).Length : 0;
            await Eventually.IsTrueAsync(() => Task.FromResult(File.Exists(heads) && new FileInfo(heads).Length > shipped), "a head is shipped");
        }

        return (contractor, token, otp, service.Clock, backup);
    }

    /// <summary>The answer, once the database is back.</summary>
    private static async Task<VerifyResponse> AnswerAsync(OtpService service, string contractor, string otp)
    {
        VerifyResponse? answer = null;
        await Eventually.IsTrueAsync(
            async () =>
            {
                try
                {
                    answer = await service.Auth.VerifyAsync(contractor, otp);
                    return true;
                }
                catch (RpcException outage) when (outage.StatusCode == StatusCode.Unavailable)
                {
                    return false;
                }
            },
            "the service decides again");
        return answer!;
    }

    private static async Task ExpectFencedAsync(params OtpService[] replicas)
    {
        var fence = await replicas[0].Operations.GetFenceAsync(new() { InstitutionId = "demo" });
        Assert.That(fence.Fence.ToDateTimeOffset(), Is.EqualTo(replicas[0].Clock.GetUtcNow() + TimeSpan.FromSeconds(130)));
        var records = await replicas[0].AuditOfAsync("RaiseFence");
        Assert.That(records.Select(r => r.InstitutionId.Value).Distinct(), Is.EquivalentTo(["demo", "minato"]));
        Assert.That(replicas.Sum(r => r.Errors.Errors.Count(e => e.StartsWith("The database may have lost commits", StringComparison.Ordinal))), Is.EqualTo(records.Count / 2));
        Assert.That(records.Select(r => (r.CallerId, r.Outcome)), Is.All.EqualTo(("service", Outcome.Accepted)));
    }

    private static async Task PastTheFenceAsync(OtpService service)
    {
        var fence = await service.Operations.GetFenceAsync(new() { InstitutionId = "demo" });
        service.Clock.SetUtcNow(fence.Fence.ToDateTimeOffset() + TimeSpan.FromSeconds(30));
    }
}
