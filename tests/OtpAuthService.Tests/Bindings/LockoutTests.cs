using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Bindings;

/// <summary>Promise P5: five wrong OTPs in a row lock for 30 minutes, ten until an operator unlocks; all acts share the budget.</summary>
[TestFixture(StoreKind.Sqlite)]
[TestFixture(StoreKind.Postgres)]
[TestFixture(StoreKind.PostgresRedis)]
public class LockoutTests(StoreKind kind)
{
    private OtpService service = null!;

    private DateTimeOffset Now => service.Clock.GetUtcNow();

    [OneTimeSetUp]
    public async Task StartAsync() => service = await OtpService.StartAsync(kind);

    [OneTimeTearDown]
    public async Task StopAsync() => await service.DisposeAsync();

    [TearDown]
    public void NoErrorWasLogged() => Assert.That(service.Errors.Errors, Is.Empty);

    [Test]
    public async Task Verify_FiveWrongInARow_LocksForThirtyMinutesAndEvaluatesNothing()
    {
        var (contractor, token) = await service.RegisteredAsync();
        var answers = await WrongAsync(contractor, token, 5);
        Assert.That(answers.Select(a => a.Outcome), Is.All.EqualTo(Outcome.Mismatch));
        Assert.That(answers.Select(a => a.AttemptsLeft), Is.EqualTo(new[] { 4, 3, 2, 1, 0 }));
        Assert.That(answers[^1].RetryAfter.ToTimeSpan(), Is.EqualTo(TimeSpan.FromMinutes(30)));

        var right = token.At(Now);
        var locked = await service.Auth.VerifyAsync(contractor, right);
        Assert.That((locked.Outcome, locked.Decision), Is.EqualTo((Outcome.LockedOut, Decision.Deny)));
        Assert.That(locked.RetryAfter.ToTimeSpan(), Is.EqualTo(TimeSpan.FromMinutes(30)));
        Assert.That((await service.Auth.SuspendAsync(contractor, right)).Outcome, Is.EqualTo(Outcome.LockedOut));
        var requirement = await service.Auth.RequirementAsync(contractor);
        Assert.That((requirement.Requirement, requirement.RetryAfter.ToTimeSpan()), Is.EqualTo((Requirement.Blocked, TimeSpan.FromMinutes(30))));

        service.Clock.Advance(TimeSpan.FromMinutes(30) - TimeSpan.FromSeconds(1));
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.LockedOut));
        service.Clock.Advance(TimeSpan.FromSeconds(1));
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    [Test]
    public async Task Verify_OtpSentWhileLocked_IsNotClaimed()
    {
        var (contractor, token) = await service.RegisteredAsync("demo");
        service.Clock.Advance(TimeSpan.FromSeconds(60));
        await service.Auth.RegisterAsync(contractor, token.CredentialId, token.At(Now, -1), institution: "minato");
        await WrongAsync(contractor, token, 5);

        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.LockedOut));

        // The same credential at another institution: not locked there, and the step is still unused.
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now), institution: "minato")).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    [Test]
    public async Task Verify_TenWrongInARow_LocksUntilAnOperatorUnlocks()
    {
        var (contractor, token) = await service.RegisteredAsync();
        await WrongAsync(contractor, token, 5);
        service.Clock.Advance(TimeSpan.FromMinutes(31));
        var answers = await WrongAsync(contractor, token, 5);
        Assert.That(answers.Select(a => a.AttemptsLeft), Is.EqualTo(new[] { 4, 3, 2, 1, 0 }));
        Assert.That(answers[^1].RetryAfter, Is.Null);

        service.Clock.Advance(TimeSpan.FromHours(20));
        var locked = await service.Auth.VerifyAsync(contractor, token.At(Now));
        Assert.That((locked.Outcome, locked.RetryAfter), Is.EqualTo((Outcome.LockedOut, (Google.Protobuf.WellKnownTypes.Duration?)null)));
        var binding = await service.Operations.BindingAsync(contractor);
        Assert.That((binding.ConsecutiveFailures, binding.Lockout.Until), Is.EqualTo((10, (Google.Protobuf.WellKnownTypes.Timestamp?)null)));
    }

    [Test]
    public async Task Verify_RightAfterFourWrong_StartsTheRowAnew()
    {
        var (contractor, token) = await service.RegisteredAsync();
        await WrongAsync(contractor, token, 4);
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
        Assert.That((await WrongAsync(contractor, token, 4))[^1].AttemptsLeft, Is.EqualTo(1));
    }

    [Test]
    public async Task Verify_Replays_AreNotGuesses()
    {
        var (contractor, token) = await service.RegisteredAsync();
        await service.Auth.VerifyAsync(contractor, token.At(Now));
        for (var i = 0; i < 12; i++)
        {
            Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
        }

        Assert.That((await service.Operations.BindingAsync(contractor)).ConsecutiveFailures, Is.Zero);
    }

    [Test]
    public async Task Acts_OfEveryKind_DrawOnOneBudget()
    {
        var (contractor, token) = await service.RegisteredAsync();
        await WrongAsync(contractor, token, 2);
        Assert.That((await service.Auth.SuspendAsync(contractor, token.WrongAt(Now))).AttemptsLeft, Is.EqualTo(2));
        Assert.That((await service.Auth.SuspendAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));

        // Wrong OTPs of Register count before there is a binding, and an unknown credential counts like one.
        var other = await service.Operations.IssueAsync();
        Assert.That((await service.Auth.RegisterAsync(contractor, other.CredentialId, other.WrongAt(Now))).AttemptsLeft, Is.EqualTo(4));
        var unknown = await service.Auth.RegisterAsync(contractor, "ZZZZ99999999", "123456");
        Assert.That((unknown.Outcome, unknown.AttemptsLeft), Is.EqualTo((Outcome.CredentialUnknown, 3)));
        for (var left = 2; left >= 0; left--)
        {
            Assert.That((await service.Auth.RegisterAsync(contractor, other.CredentialId, other.WrongAt(Now))).AttemptsLeft, Is.EqualTo(left));
        }

        Assert.That((await service.Auth.RegisterAsync(contractor, other.CredentialId, other.At(Now))).Outcome, Is.EqualTo(Outcome.LockedOut));
        // OTP is opt-in: wrong registrations do not lock out a contractor who logs in without one.
        Assert.That((await service.Auth.VerifyAsync(contractor, other.At(Now))).Decision, Is.EqualTo(Decision.Allow));
    }

    private async Task<List<VerifyResponse>> WrongAsync(string contractor, SoftToken token, int times)
    {
        var answers = new List<VerifyResponse>();
        for (var i = 0; i < times; i++)
        {
            answers.Add(await service.Auth.VerifyAsync(contractor, token.WrongAt(Now)));
        }

        return answers;
    }
}
