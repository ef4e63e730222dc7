using Grpc.Core;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Telemetry;

/// <summary>What dashboards and alerts see of decisions.</summary>
[TestFixture(StoreKind.Postgres)]
[TestFixture(StoreKind.PostgresRedis)]
public class DecisionMetricsTests(StoreKind kind)
{
    private OtpService service = null!;

    private DateTimeOffset Now => service.Clock.GetUtcNow();

    [SetUp]
    public async Task StartAsync() => service = await OtpService.StartAsync(kind);

    [TearDown]
    public async Task StopAsync() => await service.DisposeAsync();

    [Test]
    public async Task Lockouts_OfBothSteps_AreCountedOnceEachByKind()
    {
        var (contractor, token) = await service.RegisteredAsync();
        for (var guess = 0; guess < 7; guess++)
        {
            await service.Auth.VerifyAsync(contractor, token.WrongAt(Now));
        }

        Assert.That(await LockoutsAsync(), Is.EqualTo((1, 0)));
        service.Clock.Advance(TimeSpan.FromMinutes(31));
        for (var guess = 0; guess < 7; guess++)
        {
            await service.Auth.VerifyAsync(contractor, token.WrongAt(Now));
        }

        Assert.That(await LockoutsAsync(), Is.EqualTo((1, 1)));

        async Task<(double, double)> LockoutsAsync() =>
            (await service.MetricAsync("otp_lockouts_total", ("kind", "temporary")), await service.MetricAsync("otp_lockouts_total", ("kind", "until_unlocked")));
    }

    [Test]
    public async Task Replay_ThatTheCacheKnows_IsCountedAsRefusedByIt()
    {
        var (contractor, token) = await service.RegisteredAsync();
        var (otp, id) = (token.At(Now), Calls.NewRequestId());
        await service.Auth.VerifyAsync(contractor, otp, id);
        await Eventually.IsTrueAsync(
            async () => (await service.Auth.VerifyAsync(contractor, otp)).Outcome == Outcome.AlreadyUsed && await RefusedByAsync("replay_cache") > 0, "the cache knows");
        var refused = await RefusedByAsync("replay_cache") + await RefusedByAsync("database");

        Assert.That((await service.Auth.VerifyAsync(contractor, otp, id)).Repeated, Is.True);
        Assert.That(await RefusedByAsync("replay_cache") + await RefusedByAsync("database"), Is.EqualTo(refused), "a retry is no replay");
    }

    [Test]
    public async Task Replay_ThatOnlyTheDatabaseKnows_IsCountedAsRefusedByIt()
    {
        var (contractor, token) = await service.RegisteredAsync();
        await service.Auth.VerifyAsync(contractor, token.At(Now));
        await using var other = await OtpService.StartAsync(service.Stores, service.Clock, "--ConnectionStrings:Redis=");

        Assert.That((await other.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
        Assert.That(await other.MetricAsync("otp_replays_refused_total", ("refused_by", "database")), Is.EqualTo(1));
    }

    [Test]
    public async Task Otp_UnderAFence_IsCountedAsRefusedByIt()
    {
        var (contractor, token) = await service.RegisteredAsync();
        await service.Operations.RaiseFenceAsync(new() { RequestId = Calls.NewRequestId(), InstitutionId = "demo", Reason = "a backup was restored" });

        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
        Assert.That(await RefusedByAsync("fence"), Is.EqualTo(1));
    }

    [TestCase(-1, "behind")]
    [TestCase(0, "on_time")]
    [TestCase(1, "ahead")]
    public async Task Otp_OfAnyStepOfTheWindow_ShowsOnWhichSideItWas(int steps, string side)
    {
        var (contractor, token) = await service.RegisteredAsync();
        service.Clock.Advance(TimeSpan.FromSeconds(90));
        var before = await MatchesAsync();
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now, steps))).Outcome, Is.EqualTo(Outcome.Accepted));

        Assert.That(await MatchesAsync() - before, Is.EqualTo(1));
        Assert.That(await service.MetricAsync("otp_match_drift_count", ("side", "on_time")), Is.EqualTo(2), "registered and verified: nothing learned yet");

        async Task<double> MatchesAsync() => await service.MetricAsync("otp_match_offset_count", ("side", side));
    }

    [Test]
    public async Task Bypass_AnsweredAndRefused_IsCountedByItsGrant()
    {
        var (contractor, _) = await service.RegisteredAsync();
        await service.Auth.VerifyAsync(contractor, "", channel: Channel.FeaturePhone);
        await service.Operations.SetBypassOptOutAsync(new()
        {
            RequestId = Calls.NewRequestId(), InstitutionId = "demo", ContractorId = contractor, NeverBypass = true, Reason = "asked for it",
        });
        await service.Auth.VerifyAsync(contractor, "", channel: Channel.FeaturePhone);

        foreach (var outcome in new[] { "Bypassed", "BypassRefused" })
        {
            Assert.That(await service.MetricAsync("otp_bypasses_total", ("caller", "local"), ("institution", "demo"), ("outcome", outcome)), Is.EqualTo(1), outcome);
        }
    }

    [Test]
    public async Task Commit_ThatFails_IsTimedAsFailed()
    {
        var (contractor, token) = await service.RegisteredAsync();
        await service.Auth.VerifyAsync(contractor, token.At(Now));
        Assert.That(await service.MetricAsync("otp_commit_duration_seconds_count", ("way", "statement"), ("result", "committed")), Is.EqualTo(1));
        Assert.That(await service.MetricAsync("otp_batch_size_sum", ("way", "statement")), Is.EqualTo(1));

        await using var held = await HeldRow.CredentialAsync(service.Stores, token.CredentialId);
        service.Clock.Advance(TimeSpan.FromSeconds(30));
        await Assert.ThrowsAsync<RpcException>(async () => await service.Auth.VerifyAsync(contractor, token.At(Now)));
        Assert.That(await service.MetricAsync("otp_commit_duration_seconds_count", ("result", "failed")), Is.GreaterThan(0));
    }

    private Task<double> RefusedByAsync(string by) => service.MetricAsync("otp_replays_refused_total", ("refused_by", by));
}
