using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;
using StackExchange.Redis;

namespace OtpAuthService.Tests.Verification;

/// <summary>Redis in front of PostgreSQL: its "used" is a refusal on record that costs no lock, and whatever else it holds decides nothing (promises P1, P3 and P8).</summary>
[TestFixture]
public class ReplayCacheTests
{
    private RedisServer redis = null!;
    private StoresUnderTest stores = null!;
    private OtpService service = null!;

    private DateTimeOffset Now => service.Clock.GetUtcNow();

    private long CurrentStep => Now.ToUnixTimeSeconds() / 30;

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

        await LieAboutTheNextStepAsync();
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

        await LieAboutTheNextStepAsync();
        var refused = await service.Auth.VerifyAsync(contractor, token.At(Now, 1));

        Assert.That((refused.Outcome, refused.AttemptsLeft), Is.EqualTo((Outcome.AlreadyUsed, 4)));
    }

    /// <summary>Of a step below the highest used one as well: a standby that lost the last commits would take it.</summary>
    [Test]
    public async Task Verify_StepBelowOneThatRedisKnows_IsRefusedWithoutALock()
    {
        var (contractor, token) = await AcceptedAsync();
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now, 1))).Outcome, Is.EqualTo(Outcome.Accepted));
        await RedisHasBeenToldAsync(CurrentStep + 1);

        await using var held = await HeldRow.CredentialAsync(stores, token.CredentialId);

        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now, -1))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
    }

    /// <summary>What is no member is no word of ours.</summary>
    [TestCase("")]
    [TestCase("used")]
    [TestCase("-7")]
    [TestCase("1e300")]
    [TestCase("99999999999999999999999999")]
    public async Task Verify_RedisHoldsGarbage_IsDecidedByPostgres(string garbage)
    {
        var (contractor, token) = await AcceptedAsync();
        var (key, _) = await CurrentSetAsync();
        await redis.FlushAsync();
        await redis.AddAsync(key, garbage);
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));

        // Not even a set.
        await redis.SetAllAsync(garbage);
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now, 1))).Outcome, Is.EqualTo(Outcome.Accepted));
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now, 1))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
    }

    /// <summary>Default window: two steps and the one between, and one period for clocks that differ.</summary>
    [TestCase(null, 120)]
    [TestCase(500, 500)]
    [TestCase(5, 120)]
    public async Task Remember_InASetThatLivesFor_LeavesItTheLongerLife(int? before, int seconds)
    {
        await AcceptedAsync();
        var (key, members) = await CurrentSetAsync();
        if (before is { } lifetime)
        {
            await redis.ExpireAsync(key, TimeSpan.FromSeconds(lifetime));
        }

        var (contractor, token) = await service.RegisteredAsync();
        await service.Auth.VerifyAsync(contractor, token.At(Now));
        await Eventually.IsTrueAsync(async () => (await redis.SetsAsync())[key].Count > members.Count, "Redis has been told", seconds: 5);

        Assert.That((await redis.LifetimeAsync(key))!.Value.TotalSeconds, Is.GreaterThan(seconds - 10).And.LessThanOrEqualTo(seconds));
    }

    [Test]
    public async Task Verify_SuspendedElsewhereWhileRedisSaysUsed_IsSuspended()
    {
        var (contractor, token) = await AcceptedAsync();
        await using var other = await OtpService.StartAsync(stores, service.Clock);
        Assert.That((await other.Auth.SuspendAsync(contractor, token.At(Now, 1))).Outcome, Is.EqualTo(Outcome.Accepted));
        await RedisHasBeenToldAsync(CurrentStep + 1);

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

    /// <summary>
    /// An accepted OTP costs a question for each step from its own to the last of the window, all in one round trip, and a notice; a refused
    /// one the question, a wrong one nothing.
    /// </summary>
    [Test]
    public async Task Verify_OnItsOwn_CostsRedisAQuestionForEachStepAndOneNoticeAtMost()
    {
        var (contractor, token) = await AcceptedAsync();
        var before = await redis.CountCallsAsync();

        Assert.That((await service.Auth.VerifyAsync(contractor, token.WrongAt(Now))).Outcome, Is.EqualTo(Outcome.Mismatch));
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now, 1))).Outcome, Is.EqualTo(Outcome.Accepted));

        // The notice of the last one comes after any notice of the others.
        await RedisHasBeenToldAsync(CurrentStep + 1);
        var after = await redis.CountCallsAsync();
        Assert.That(after.GetValueOrDefault("smismember") - before.GetValueOrDefault("smismember"), Is.EqualTo(2 + 1));
        Assert.That(after.GetValueOrDefault("evalsha") - before.GetValueOrDefault("evalsha"), Is.EqualTo(1));
        Assert.That(after.GetValueOrDefault("eval") - before.GetValueOrDefault("eval"), Is.Zero);
    }

    /// <summary>A contractor whose current OTP was just accepted, which Redis knows.</summary>
    private async Task<(string Contractor, SoftToken Token)> AcceptedAsync(string? requestId = null)
    {
        var (contractor, token) = await service.RegisteredAsync();
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now), requestId)).Outcome, Is.EqualTo(Outcome.Accepted));
        await RedisHasBeenToldAsync(CurrentStep);
        return (contractor, token);
    }

    private Task RedisHasBeenToldAsync(long step) => Eventually.IsTrueAsync(
        async () => (await redis.SetsAsync()).Keys.Any(key => IsOf(step, key)), "Redis has been told", seconds: 5);

    private async Task<(string Key, IReadOnlyList<RedisValue> Members)> CurrentSetAsync()
    {
        var (key, members) = (await redis.SetsAsync()).Single(set => IsOf(CurrentStep, set.Key));
        return (key, members);
    }

    private static bool IsOf(long step, string key) => key.Contains($":30:{step}}}", StringComparison.Ordinal);

    /// <summary>Has Redis say "used" of the next step of the credential whose current one it knows.</summary>
    private async Task LieAboutTheNextStepAsync()
    {
        var (key, members) = await CurrentSetAsync();
        await redis.AddAsync(key.Replace($"{CurrentStep}", $"{CurrentStep + 1}", StringComparison.Ordinal), members.Single());
    }
}
