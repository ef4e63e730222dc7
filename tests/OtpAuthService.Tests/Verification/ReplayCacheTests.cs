using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Verification;

/// <summary>Redis in front of PostgreSQL: its "used" is a refusal on record that costs no lock, and whatever else it holds decides nothing (promises P1, P3 and P8).</summary>
[TestFixture]
public class ReplayCacheTests
{
    private RedisServer redis = null!;
    private StoresUnderTest stores = null!;
    private OtpService service = null!;

    private DateTimeOffset Now => service.Clock.GetUtcNow();

    [OneTimeSetUp]
    public async Task StartAsync()
    {
        redis = await RedisServer.StartNewAsync();
        stores = await StoresUnderTest.CreateAsync(StoreKind.PostgresRedis, redis: redis);
        service = await OtpService.StartAsync(stores);
    }

    [OneTimeTearDown]
    public async Task StopAsync()
    {
        await service.DisposeAsync();
        stores.Dispose();
        await redis.DisposeAsync();
    }

    [SetUp]
    public Task ForgetAsync()
    {
        service.Errors.Clear();
        return redis.FlushAsync();
    }

    [TearDown]
    public void NoErrorWasLogged() => Assert.That(service.Errors.Errors, Is.Empty);

    [Test]
    public async Task Verify_ReplayThatRedisKnows_IsRefusedWithoutALockAndOnRecordOnce()
    {
        var (contractor, token) = await AcceptedAsync();
        var requestId = Calls.NewRequestId();

        VerifyResponse replayed;
        await using (await HeldRow.CredentialAsync(stores, token.CredentialId))
        {
            await using var alsoHeld = await HeldRow.ContractorAsync(stores, contractor);
            replayed = await service.Auth.VerifyAsync(contractor, token.At(Now), requestId);
        }

        var retried = await service.Auth.VerifyAsync(contractor, token.At(Now), requestId);
        Assert.That((replayed.Outcome, replayed.Decision, replayed.Repeated), Is.EqualTo((Outcome.AlreadyUsed, Decision.Deny, false)));
        Assert.That((retried.Outcome, retried.Repeated, retried.DecidedAt), Is.EqualTo((Outcome.AlreadyUsed, true, replayed.DecidedAt)));
        Assert.That((retried.AttemptsLeft, retried.RetryAfter), Is.EqualTo((replayed.AttemptsLeft, replayed.RetryAfter)));
        var records = (await service.AuditAsync(contractor)).Where(r => r.RequestId == requestId).ToList();
        Assert.That(records.Select(r => (r.Outcome, r.TimeStep is null)), Is.EqualTo(new[] { (Outcome.AlreadyUsed, true) }));
        Assert.That((await service.Operations.BindingAsync(contractor)).ConsecutiveFailures, Is.Zero);
    }

    /// <summary>The same answer as PostgreSQL's own, whoever knows it first.</summary>
    [Test]
    public async Task Verify_ReplayThatOnlyPostgresKnows_IsAnsweredAlike()
    {
        var (contractor, token) = await AcceptedAsync();
        var known = await service.Auth.VerifyAsync(contractor, token.At(Now));

        await redis.FlushAsync();
        var unknown = await service.Auth.VerifyAsync(contractor, token.At(Now));

        Assert.That(
            (unknown.Outcome, unknown.Decision, unknown.AttemptsLeft, unknown.RetryAfter),
            Is.EqualTo((Outcome.AlreadyUsed, known.Decision, known.AttemptsLeft, known.RetryAfter)));
    }

    [Test]
    public async Task Verify_RedisSaysUsedOfAFreshOtp_IsRefusedAndClaimsNothing()
    {
        var (contractor, token) = await AcceptedAsync();
        var lie = $"{Now.ToUnixTimeSeconds() / 30 + 1}";

        await redis.SetAllAsync(lie);
        var refused = await service.Auth.VerifyAsync(contractor, token.At(Now, 1));
        await redis.FlushAsync();
        var accepted = await service.Auth.VerifyAsync(contractor, token.At(Now, 1));

        Assert.That((refused.Outcome, refused.Decision), Is.EqualTo((Outcome.AlreadyUsed, Decision.Deny)));
        Assert.That(accepted.Outcome, Is.EqualTo(Outcome.Accepted));
    }

    /// <summary>Also within a turn, where a wrong OTP before has kept it out of the shared statement.</summary>
    [Test]
    public async Task Verify_RedisSaysUsedOfAFreshOtpAfterAWrongOne_IsRefused()
    {
        var (contractor, token) = await AcceptedAsync();
        await service.Auth.VerifyAsync(contractor, token.WrongAt(Now));
        var lie = $"{Now.ToUnixTimeSeconds() / 30 + 1}";

        await redis.SetAllAsync(lie);
        var refused = await service.Auth.VerifyAsync(contractor, token.At(Now, 1));

        Assert.That((refused.Outcome, refused.AttemptsLeft), Is.EqualTo((Outcome.AlreadyUsed, 4)));
    }

    /// <summary>What cannot be a time step is no word of ours.</summary>
    [TestCase("")]
    [TestCase("used")]
    [TestCase("-7")]
    [TestCase("1e300")]
    [TestCase("12.5")]
    [TestCase("1000000000000")]
    [TestCase("9223372036854775807")]
    [TestCase("99999999999999999999999999")]
    public async Task Verify_RedisHoldsGarbage_IsDecidedByPostgres(string garbage)
    {
        var (contractor, token) = await AcceptedAsync();
        await redis.SetAllAsync(garbage);

        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now, 1))).Outcome, Is.EqualTo(Outcome.Accepted));
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now, 1))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
    }

    [Test]
    public async Task Remember_OverGarbage_IsWhatRedisSaysFromThenOn([Values("used", "-7", "1000000000000")] string garbage)
    {
        var (contractor, token) = await AcceptedAsync();
        await redis.SetAllAsync(garbage);

        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now, 1))).Outcome, Is.EqualTo(Outcome.Accepted));

        await RedisHasBeenToldAsync(Now.ToUnixTimeSeconds() / 30 + 1);
    }

    [Test]
    public async Task Verify_SuspendedElsewhereWhileRedisSaysUsed_IsSuspended()
    {
        var (contractor, token) = await AcceptedAsync();
        await using var other = await OtpService.StartAsync(stores, service.Clock);
        Assert.That((await other.Auth.SuspendAsync(contractor, token.At(Now, 1))).Outcome, Is.EqualTo(Outcome.Accepted));
        await RedisHasBeenToldAsync(Now.ToUnixTimeSeconds() / 30 + 1);

        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Suspended));
    }

    [Test]
    public async Task Verify_LockedWhileRedisSaysUsed_IsLockedOut()
    {
        var (contractor, token) = await AcceptedAsync();
        for (var i = 0; i < 5; i++)
        {
            await service.Auth.VerifyAsync(contractor, token.WrongAt(Now));
        }

        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.LockedOut));
    }

    [Test]
    public async Task Retry_OfTheAcceptedRequestWhileRedisSaysUsed_GetsItsAcceptance()
    {
        var requestId = Calls.NewRequestId();
        var (contractor, token) = await AcceptedAsync(requestId);

        var retried = await service.Auth.VerifyAsync(contractor, token.At(Now), requestId);

        Assert.That((retried.Outcome, retried.Repeated), Is.EqualTo((Outcome.Accepted, true)));
        Assert.That((await service.AuditAsync(contractor)).Count(r => r.RequestId == requestId), Is.EqualTo(1));
    }

    /// <summary>An accepted OTP costs a question and a notice, a refused one a question, a wrong one nothing.</summary>
    [Test]
    public async Task Verify_OnItsOwn_CostsRedisOneQuestionAndOneNoticeAtMost()
    {
        var (contractor, token) = await AcceptedAsync();
        var before = await redis.CountCallsAsync();

        Assert.That((await service.Auth.VerifyAsync(contractor, token.WrongAt(Now))).Outcome, Is.EqualTo(Outcome.Mismatch));
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now, 1))).Outcome, Is.EqualTo(Outcome.Accepted));

        // The notice of the last one comes after any notice of the others.
        await RedisHasBeenToldAsync(Now.ToUnixTimeSeconds() / 30 + 1);
        var after = await redis.CountCallsAsync();
        Assert.That(after.GetValueOrDefault("mget") - before.GetValueOrDefault("mget"), Is.EqualTo(2));
        Assert.That(after.GetValueOrDefault("evalsha") - before.GetValueOrDefault("evalsha"), Is.EqualTo(1));
        Assert.That(after.GetValueOrDefault("eval") - before.GetValueOrDefault("eval"), Is.Zero);
    }

    /// <summary>A contractor whose current OTP was just accepted, which Redis knows.</summary>
    private async Task<(string Contractor, SoftToken Token)> AcceptedAsync(string? requestId = null)
    {
        var (contractor, token) = await service.RegisteredAsync();
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now), requestId)).Outcome, Is.EqualTo(Outcome.Accepted));
        await RedisHasBeenToldAsync(Now.ToUnixTimeSeconds() / 30);
        return (contractor, token);
    }

    /// <summary>Each test begins with an empty Redis and one credential.</summary>
    private Task RedisHasBeenToldAsync(long step) => Eventually.IsTrueAsync(
        async () => (await redis.DumpAsync()).EndsWith($"={step}", StringComparison.Ordinal), "Redis has been told", seconds: 5);
}
