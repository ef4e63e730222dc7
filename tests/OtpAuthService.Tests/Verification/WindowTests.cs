using System.Security.Cryptography;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;
using OtpAuthService.Verification;
using OtpNet;

namespace OtpAuthService.Tests.Verification;

/// <summary>Which OTPs are accepted when: the acceptance window, what a claim takes with it, and when it is worth trying again.</summary>
[TestFixture(StoreKind.Sqlite)]
[TestFixture(StoreKind.Postgres)]
[TestFixture(StoreKind.PostgresRedis)]
public class WindowTests(StoreKind kind)
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
    public async Task Otp_WithinTheWindow_IsAccepted([Values(-1, 0, 1)] int steps, [Values(-4, 0, 4)] int drift)
    {
        var (contractor, token) = await UnusedAsync(drift);
        Expect(await service.Auth.VerifyAsync(contractor, token.At(Now, drift + steps)), Outcome.Accepted);
    }

    [Test]
    public async Task Otp_OutsideTheWindow_IsRefusedAndCounted([Values(-100, -2, 2, 100)] int steps, [Values(-4, 0, 4)] int drift)
    {
        var (contractor, token) = await UnusedAsync(drift);
        var answer = await service.Auth.VerifyAsync(contractor, token.At(Now, drift + steps));
        // Those before the registration's are of no use to anybody, and only a mismatch.
        Expect(answer, steps == -100 ? Outcome.Mismatch : Outcome.OutOfSync);
        Assert.That(answer.AttemptsLeft, Is.EqualTo(4));
        Assert.That((await service.Operations.BindingAsync(contractor)).ConsecutiveFailures, Is.EqualTo(1));
    }

    /// <summary>The window moves with the clock, to the millisecond at which a step begins.</summary>
    [Test]
    public async Task Otp_AtTheEdgesOfItsTime_IsAcceptedFromTheFirstToTheLastMoment()
    {
        var (contractor, token) = await UnusedAsync();
        var (early, earlyToken) = await UnusedAsync();
        var otp = token.At(Now, 2);
        var earlyOtp = earlyToken.At(Now, 2);
        AdvanceTo(StepStart(Now, 1) - TimeSpan.FromMilliseconds(1));
        Expect(await service.Auth.VerifyAsync(early, earlyOtp), Outcome.OutOfSync);
        service.Clock.Advance(TimeSpan.FromMilliseconds(1));
        Expect(await service.Auth.VerifyAsync(contractor, otp), Outcome.Accepted);

        otp = token.At(Now, 2);
        AdvanceTo(StepStart(Now, 4) - TimeSpan.FromMilliseconds(1));
        Expect(await service.Auth.VerifyAsync(contractor, otp), Outcome.Accepted);

        otp = token.At(Now, 1);
        AdvanceTo(StepStart(Now, 3));
        Expect(await service.Auth.VerifyAsync(contractor, otp), Outcome.OutOfSync);
    }

    /// <summary>A replica whose own replay cache knows nothing yet has it from the database; with Redis, from there.</summary>
    [Test]
    public async Task Otp_OfAnEarlierStepThanTheClaimedOne_IsAlreadyUsedAndNotCounted([Values] bool onAnotherReplica)
    {
        var (contractor, token) = await UnusedAsync();
        Expect(await service.Auth.VerifyAsync(contractor, token.At(Now, 1)), Outcome.Accepted);

        await using var replica = onAnotherReplica ? await OtpService.StartAsync(service.Stores, service.Clock) : null;
        var auth = (replica ?? service).Auth;
        Expect(await auth.VerifyAsync(contractor, token.At(Now)), Outcome.AlreadyUsed);
        Expect(await auth.VerifyAsync(contractor, token.At(Now, -1)), Outcome.AlreadyUsed);
        Expect(await auth.VerifyAsync(contractor, token.At(Now, 1)), Outcome.AlreadyUsed);
        Assert.That((await service.Operations.BindingAsync(contractor)).ConsecutiveFailures, Is.Zero);
    }

    [Test]
    public async Task Otp_WithALeadingZero_IsAccepted()
    {
        var (contractor, token) = await UnusedAsync();
        // One step in ten; 400 steps without any have a probability of 10⁻¹⁸.
        for (var step = 0; step < 400 && token.At(Now)[0] != '0'; step++)
        {
            AdvanceTo(StepStart(Now, 1));
        }

        Assert.That(token.At(Now), Does.StartWith("0"));
        Expect(await service.Auth.VerifyAsync(contractor, token.At(Now)), Outcome.Accepted);
    }

    /// <summary>
    /// Two steps of the window show the same digits, and the customer submits them in the first or in the second: they are good once,
    /// for as long as either step is within the window.
    /// </summary>
    [TestCase(0)]
    [TestCase(1)]
    public async Task Otp_OfTwoAdjacentSteps_IsAcceptedOnce(int submittedIn)
    {
        var (key, step, otp) = EqualDigits.NearNow;
        var clock = new Microsoft.Extensions.Time.Testing.FakeTimeProvider(step.Plus(-3).Start(30).AddSeconds(5));
        using var stores = await StoresUnderTest.CreateAsync(kind);
        await using var then = await OtpService.StartAsync(stores, clock);
        var token = await then.InsertCredentialAsync(key);
        var contractor = Calls.NewContractor();
        Expect(await then.Auth.RegisterAsync(contractor, token.CredentialId, token.At(clock.GetUtcNow())), Outcome.Accepted);

        clock.SetUtcNow(step.Plus(submittedIn).Start(30).AddSeconds(5));
        Expect(await then.Auth.VerifyAsync(contractor, otp), Outcome.Accepted);

        for (var shown = submittedIn; shown <= 2; shown++)
        {
            clock.SetUtcNow(step.Plus(shown).Start(30).AddSeconds(6));
            Expect(await then.Auth.VerifyAsync(contractor, otp), Outcome.AlreadyUsed);
        }

        clock.SetUtcNow(step.Plus(3).Start(30));
        Expect(await then.Auth.VerifyAsync(contractor, otp), Outcome.Mismatch);
        Assert.That(then.Errors.Errors, Is.Empty);
    }

    /// <summary>Every form of credential, with OTPs from an implementation that shares no code with ours.</summary>
    [Test]
    public async Task Otp_ComputedByOathtool_IsAccepted(
        [Values(Algorithm.Sha1, Algorithm.Sha256, Algorithm.Sha512)] Algorithm algorithm, [Values(6, 8)] int digits, [Values(30, 60)] int period)
    {
        var (contractor, token) = await service.RegisteredAsync(digits: digits, period: period, algorithm: algorithm);
        Expect(await service.Auth.VerifyAsync(contractor, await OathtoolAsync(Now)), Outcome.Accepted);
        Expect(await service.Auth.VerifyAsync(contractor, await OathtoolAsync(Now.AddSeconds(period))), Outcome.Accepted);
        Expect(await service.Auth.VerifyAsync(contractor, await OathtoolAsync(Now.AddSeconds(2 * period))), Outcome.OutOfSync);

        async Task<string> OathtoolAsync(DateTimeOffset at)
        {
            string[] arguments =
            [
                $"--totp={algorithm.ToString().ToLowerInvariant()}", "-d", $"{digits}", "-s", $"{period}",
                "-N", $"{at:yyyy-MM-dd HH:mm:ss} UTC", "-b", Base32Encoding.ToString(token.Key),
            ];
            return (await ChildProcess.RunAsync("oathtool", arguments)).Trim();
        }
    }

    /// <summary>
    /// Who waits as told finds an OTP on the token that is accepted, and not a moment later than the token shows it: whichever OTP was
    /// accepted, and whichever used one was submitted again.
    /// </summary>
    [TestCase(0, 0)]
    [TestCase(0, -1)]
    [TestCase(1, 1)]
    [TestCase(1, 0)]
    [TestCase(1, -1)]
    [TestCase(-1, -1)]
    [TestCase(0, 0, 4)]
    [TestCase(1, 0, -4)]
    public async Task AlreadyUsed_WaitingAsTold_LeadsToTheNextOtpThatIsAccepted(int accepted, int again, int drift = 0)
    {
        var (contractor, token) = await UnusedAsync(drift);
        Expect(await service.Auth.VerifyAsync(contractor, token.At(Now, drift + accepted)), Outcome.Accepted);
        var refused = await service.Auth.VerifyAsync(contractor, token.At(Now, drift + again));
        Expect(refused, Outcome.AlreadyUsed);

        if (accepted < 0)
        {
            // The token shows the next one already.
            Assert.That(refused.RetryAfter, Is.Null);
        }
        else
        {
            Assert.That(refused.RetryAfter, Is.Not.Null);
            service.Clock.Advance(refused.RetryAfter.ToTimeSpan() - TimeSpan.FromMilliseconds(1));
            Expect(await service.Auth.VerifyAsync(contractor, token.At(Now, drift)), Outcome.AlreadyUsed);
            service.Clock.Advance(TimeSpan.FromMilliseconds(1));
        }

        Expect(await service.Auth.VerifyAsync(contractor, token.At(Now, drift)), Outcome.Accepted);
    }

    private static void Expect(IOtpAnswer answer, Outcome outcome) =>
        Assert.That(
            (answer.Outcome, answer.Decision),
            Is.EqualTo((outcome, outcome == Outcome.Accepted ? Decision.Allow : Decision.Deny)));

    /// <summary>A registered contractor none of whose OTPs near the present one is used.</summary>
    /// <param name="drift">What the service has learned of the credential's clock, in steps; what the token shows now is that many ahead.</param>
    private async Task<(string Contractor, SoftToken Token)> UnusedAsync(int drift = 0)
    {
        var token = await service.InsertCredentialAsync(RandomNumberGenerator.GetBytes(20), drift);
        var contractor = Calls.NewContractor();
        Expect(await service.Auth.RegisterAsync(contractor, token.CredentialId, token.At(Now, drift)), Outcome.Accepted);
        AdvanceTo(StepStart(Now, 3) + TimeSpan.FromSeconds(5));
        return (contractor, token);
    }

    private static DateTimeOffset StepStart(DateTimeOffset now, int steps) => TimeStep.At(now, 30).Plus(steps).Start(30);

    private void AdvanceTo(DateTimeOffset moment) => service.Clock.SetUtcNow(moment);
}
