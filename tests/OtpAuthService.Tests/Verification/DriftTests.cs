using System.Security.Cryptography;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;
using OtpAuthService.Verification;

namespace OtpAuthService.Tests.Verification;

/// <summary>What the service learns of a credential's clock from accepted OTPs, and what it does not.</summary>
[TestFixture(StoreKind.Sqlite)]
[TestFixture(StoreKind.Postgres)]
[TestFixture(StoreKind.PostgresRedis)]
public class DriftTests(StoreKind kind)
{
    private OtpService service = null!;

    private DateTimeOffset Now => service.Clock.GetUtcNow();

    [SetUp]
    public async Task StartAsync() => service = await OtpService.StartAsync(kind);

    [TearDown]
    public async Task StopAsync()
    {
        Assert.That(service.Errors.Errors, Is.Empty);
        await service.DisposeAsync();
    }

    [TestCase(1)]
    [TestCase(-1)]
    public async Task Token_ThatDriftsASecondADayForAYear_VerifiesThroughout(int secondsPerDay)
    {
        var (contractor, token) = await UnusedAsync();
        var random = new Random(20261123);
        for (var day = 1; day <= 365; day++)
        {
            NextDay(random.Next(6 * 3600, 22 * 3600));
            var answer = await service.Auth.VerifyAsync(contractor, token.At(Now.AddSeconds(day * secondsPerDay)));
            Assert.That(answer.Outcome, Is.EqualTo(Outcome.Accepted), $"day {day}");
        }

        Assert.That((await service.CredentialAsync(token)).DriftSteps * secondsPerDay, Is.InRange(11, 13));
    }

    [Test]
    public async Task Token_ThatIsOffOnThreeDaysInARow_MovesTheWindowByAStep([Values(-1, 1)] int side)
    {
        var (contractor, token) = await UnusedAsync();
        foreach (var expected in new[] { 0, 0, side })
        {
            NextDay();
            await AcceptAsync(contractor, token.At(Now, side));
            Assert.That((await service.CredentialAsync(token)).DriftSteps, Is.EqualTo(expected));
        }

        NextDay();
        await AcceptAsync(contractor, token.At(Now, 2 * side));
        Assert.That((await service.CredentialAsync(token)).DriftSteps, Is.EqualTo(2 * side), "once a clock is known to be off, it is followed by a step a day");

        NextDay();
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.OutOfSync), "the window has moved, and did not grow");
    }

    [Test]
    public async Task Token_ThatIsOffManyTimesOnOneDay_TeachesOnce([Values(-1, 1)] int side)
    {
        var (contractor, token) = await UnusedAsync();
        NextDay();
        for (var login = 0; login < 6; login++)
        {
            await AcceptAsync(contractor, token.At(Now, side));
            service.Clock.Advance(TimeSpan.FromMinutes(1));
        }

        var stored = await service.CredentialAsync(token);
        Assert.That((stored.DriftSteps, stored.DriftDays), Is.EqualTo((0, side)));
    }

    /// <summary>Whoever holds an old OTP has one of the window's edge at most, and the owner's next one takes back what it told.</summary>
    [Test]
    public async Task OldOtp_SubmittedBySomebodyElse_DoesNotPullTheDrift()
    {
        var (contractor, token) = await UnusedAsync();
        for (var day = 0; day < 10; day++)
        {
            NextDay();
            await AcceptAsync(contractor, token.At(Now, -1));
            service.Clock.Advance(TimeSpan.FromMinutes(1));
            await AcceptAsync(contractor, token.At(Now));
        }

        var stored = await service.CredentialAsync(token);
        Assert.That((stored.DriftSteps, stored.DriftDays), Is.EqualTo((0, 0)));
    }

    [Test]
    public async Task WrongAndUsedOtps_TeachNothing()
    {
        var (contractor, token) = await UnusedAsync();
        await AcceptAsync(contractor, token.At(Now, 1));
        var before = await service.CredentialAsync(token);
        for (var day = 0; day < 4; day++)
        {
            Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now, -1))).Outcome, Is.AnyOf(Outcome.AlreadyUsed));
        }

        await service.Auth.VerifyAsync(contractor, token.WrongAt(Now));
        var after = await service.CredentialAsync(token);
        Assert.That((after.DriftSteps, after.DriftDays, after.LastTimeStep), Is.EqualTo((before.DriftSteps, before.DriftDays, before.LastTimeStep)));
    }

    /// <summary>What was learned fades by a step in 30 days without use, and stays faded where that is confirmed.</summary>
    [Test]
    public async Task Drift_OfATokenThatIsNotUsed_Fades()
    {
        var (contractor, token) = await UnusedAsync(drift: 4);
        service.Clock.Advance(TimeSpan.FromDays(61));
        await AcceptAsync(contractor, token.At(Now, 2));
        Assert.That((await service.CredentialAsync(token)).DriftSteps, Is.EqualTo(2));
        service.Clock.Advance(TimeSpan.FromMinutes(2));
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now, 4))).Outcome, Is.EqualTo(Outcome.OutOfSync));
    }

    private async Task AcceptAsync(string contractor, string otp) =>
        Assert.That((await service.Auth.VerifyAsync(contractor, otp)).Outcome, Is.EqualTo(Outcome.Accepted));

    private void NextDay(int secondsIntoIt = 12 * 3600) => service.Clock.SetUtcNow(new DateTimeOffset(Now.Date, TimeSpan.Zero).AddDays(1).AddSeconds(secondsIntoIt));

    /// <summary>A registered contractor; that its clock is as the service expects it is all that is known.</summary>
    private async Task<(string Contractor, SoftToken Token)> UnusedAsync(int drift = 0)
    {
        var token = await service.InsertCredentialAsync(RandomNumberGenerator.GetBytes(20), drift);
        var contractor = Calls.NewContractor();
        var registered = await service.Auth.RegisterAsync(contractor, token.CredentialId, token.At(Now, drift));
        Assert.That(registered.Outcome, Is.EqualTo(Outcome.Accepted));
        service.Clock.Advance(TimeSpan.FromMinutes(2));
        return (contractor, token);
    }
}

/// <summary>The rule alone, on more tokens than a service has time for in a test.</summary>
[TestFixture]
public class DriftRuleTests
{
    /// <summary>
    /// A thousand tokens whose clocks lose or gain a second a day, used once a day at any time of day: how many logins of a year fail. A service that runs is left out.
    /// </summary>
    [Test]
    public void Clock_ThatDriftsForAYear_IsFollowed()
    {
        var random = new Random(20261123);
        var failed = 0;
        for (var token = 0; token < 1_000; token++)
        {
            failed += FailedLogins(random, secondsPerDay: token % 2 == 0 ? 1 : -1);
        }

        // Of 365,000: a customer sees one of them in a hundred years or so.
        Assert.That(failed, Is.LessThan(40));
        TestContext.Out.WriteLine($"{failed} of 365,000 logins failed");
    }

    private static int FailedLogins(Random random, int secondsPerDay)
    {
        const int Period = 30;
        var midnight = DateTimeOffset.UnixEpoch.AddDays(20_000);
        var (drift, days, last, failed) = (0, 0, TimeStep.At(midnight, Period), 0);
        for (var day = 1; day <= 365; day++)
        {
            var now = midnight.AddDays(day).AddSeconds(random.Next(86_400));
            var step = TimeStep.At(now.AddSeconds(day * secondsPerDay), Period);
            var expected = TimeStep.At(now, Period).Plus(Drift.Expected(drift, last, TimeStep.At(now, Period), Period));
            var window = new AcceptanceWindow(expected.Plus(-1), expected, expected.Plus(1), drift);
            if (step < window.First || step > window.Last)
            {
                failed++;
                continue;
            }

            (drift, days) = Drift.Learn(window, step, last, days, Period);
            last = step;
        }

        Assert.That(drift * secondsPerDay, Is.InRange(11, 13));
        return failed;
    }

    [TestCase(30)]
    [TestCase(60)]
    public void Drift_IsNeverLearnedBeyondAnHour(int period)
    {
        var most = Drift.MaxSteps(period);
        var window = new AcceptanceWindow(new TimeStep(0), new TimeStep(1_000_000 + most), new TimeStep(long.MaxValue), most);
        var (steps, _) = Drift.Learn(window, window.Expected.Plus(1), new TimeStep(1), days: 5, period);
        Assert.That((steps, most * period), Is.EqualTo((most, 3_600)));
    }
}
