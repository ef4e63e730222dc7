using System.Security.Cryptography;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Verification;

/// <summary>OTPs of a clock that is far off: named, counted like a guess, and worth nothing to somebody who guesses.</summary>
[TestFixture(StoreKind.Sqlite)]
[TestFixture(StoreKind.Postgres)]
[TestFixture(StoreKind.PostgresRedis)]
public class OutOfSyncTests(StoreKind kind)
{
    private OtpService service = null!;

    private DateTimeOffset Now => service.Clock.GetUtcNow();

    [OneTimeSetUp]
    public async Task StartAsync() => service = await OtpService.StartAsync(kind);

    [OneTimeTearDown]
    public async Task StopAsync() => await service.DisposeAsync();

    [TearDown]
    public void NoErrorWasLogged() => Assert.That(service.Errors.Errors, Is.Empty);

    /// <summary>60 minutes either way, whatever a time step lasts.</summary>
    [TestCase(30, 120, Outcome.OutOfSync)]
    [TestCase(30, 121, Outcome.Mismatch)]
    [TestCase(30, -120, Outcome.OutOfSync)]
    [TestCase(30, -121, Outcome.Mismatch)]
    [TestCase(60, 60, Outcome.OutOfSync)]
    [TestCase(60, 61, Outcome.Mismatch)]
    public async Task Otp_UpToAnHourOff_IsOutOfSyncAndCounted(int period, int steps, Outcome expected)
    {
        var (contractor, token) = await service.RegisteredAsync(period: period);
        service.Clock.Advance(TimeSpan.FromHours(3));
        var answer = await service.Auth.VerifyAsync(contractor, token.At(Now, steps));
        Assert.That((answer.Outcome, answer.Decision, answer.AttemptsLeft), Is.EqualTo((expected, Decision.Deny, 4)));
    }

    /// <summary>
    /// Who guesses an OTP of the hour to come, and is told so, could otherwise wait for its time: with the 240 steps of that window the chance of a guess
    /// would be a multiple. So this one is not accepted any more, while the owner's others are; on a replica that knows the key already as well.
    /// </summary>
    [Test]
    public async Task Otp_ToldToBeOutOfSync_IsNotAcceptedWhenItsTimeComes([Values] bool onAnotherReplica)
    {
        var (contractor, token) = await service.RegisteredAsync();
        await using var replica = onAnotherReplica ? await OtpService.StartAsync(service.Stores, service.Clock) : null;
        var other = (replica ?? service).Auth;
        Assert.That((await other.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted), "the key is remembered");
        var guessed = token.At(Now, 50);
        Assert.That((await service.Auth.VerifyAsync(contractor, guessed)).Outcome, Is.EqualTo(Outcome.OutOfSync));
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now, 1))).Outcome, Is.EqualTo(Outcome.Accepted), "the owner's own, which ends the count");
        service.Clock.Advance(TimeSpan.FromSeconds(49 * 30));
        Assert.That((await other.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted), "and is remembered again");

        service.Clock.Advance(TimeSpan.FromSeconds(30));
        var refused = await other.VerifyAsync(contractor, guessed);
        Assert.That((refused.Outcome, refused.AttemptsLeft), Is.EqualTo((Outcome.AlreadyUsed, 5)));
        Assert.That(refused.RetryAfter.ToTimeSpan(), Is.EqualTo(TimeSpan.FromSeconds(25)), "the next one is shown then");
        service.Clock.Advance(TimeSpan.FromSeconds(30));
        Assert.That((await other.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    [Test]
    public async Task OutOfSync_FiveTimes_Locks()
    {
        var (contractor, token) = await service.RegisteredAsync();
        for (var guess = 0; guess < 5; guess++)
        {
            Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now, 20 + guess))).Outcome, Is.EqualTo(Outcome.OutOfSync));
        }

        var locked = await service.Auth.VerifyAsync(contractor, token.At(Now, 30));
        Assert.That(locked.Outcome, Is.EqualTo(Outcome.LockedOut), "not evaluated");
    }

    /// <summary>An OTP that was shown before the last accepted one is of no use, whatever a clock says.</summary>
    [Test]
    public async Task Otp_FromBeforeTheLastAcceptedOne_IsAMismatch()
    {
        var (contractor, token) = await service.RegisteredAsync();
        var old = token.At(Now, -10);
        Assert.That((await service.Auth.VerifyAsync(contractor, old)).Outcome, Is.EqualTo(Outcome.Mismatch));
    }

    [Test]
    public async Task Register_WithAnOtpOfAClockThatIsOff_IsOutOfSyncAndBindsNothing()
    {
        var token = await service.InsertCredentialAsync(RandomNumberGenerator.GetBytes(20));
        var contractor = Calls.NewContractor();
        var answer = await service.Auth.RegisterAsync(contractor, token.CredentialId, token.At(Now, 10));
        Assert.That((answer.Outcome, answer.AttemptsLeft), Is.EqualTo((Outcome.OutOfSync, 4)));
        Assert.That((await service.Auth.RequirementAsync(contractor)).Requirement, Is.EqualTo(Requirement.NotRegistered));
    }

    [Test]
    public async Task Suspend_WithAnOtpOfAClockThatIsOff_IsOutOfSyncAndStopsNothing()
    {
        var (contractor, token) = await service.RegisteredAsync();
        Assert.That((await service.Auth.SuspendAsync(contractor, token.At(Now, 10))).Outcome, Is.EqualTo(Outcome.OutOfSync));
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
    }
}
