using Grpc.Core;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Verification;

/// <summary>CheckOtp tells an operator what an OTP would come to, and changes nothing for the contractor.</summary>
[TestFixture(StoreKind.Sqlite)]
[TestFixture(StoreKind.Postgres)]
[TestFixture(StoreKind.PostgresRedis)]
public class OtpCheckTests(StoreKind kind)
{
    private OtpService service = null!;

    private DateTimeOffset Now => service.Clock.GetUtcNow();

    [OneTimeSetUp]
    public async Task StartAsync() => service = await OtpService.StartAsync(kind);

    [OneTimeTearDown]
    public async Task StopAsync() => await service.DisposeAsync();

    [TearDown]
    public void NoErrorWasLogged() => Assert.That(service.Errors.Errors, Is.Empty);

    [TestCase(0, Outcome.Accepted)]
    [TestCase(1, Outcome.Accepted)]
    [TestCase(-1, Outcome.AlreadyUsed)]
    [TestCase(40, Outcome.OutOfSync)]
    [TestCase(120, Outcome.OutOfSync)]
    public async Task Otp_OfAStep_IsToldWithItsOffsetAndStaysAsItIs(int steps, Outcome expected)
    {
        // Registered with the OTP of the step before.
        var (contractor, token) = await service.RegisteredAsync();
        var before = await service.CredentialAsync(token);

        var answer = await service.Operations.CheckOtpAsync(contractor, token.At(Now, steps));

        Assert.That((answer.Outcome, answer.HasOffsetSteps, answer.OffsetSteps), Is.EqualTo((expected, true, steps)));
        var after = await service.CredentialAsync(token);
        Assert.That((after.LastTimeStep, after.OutOfSyncStep, after.DriftSteps), Is.EqualTo((before.LastTimeStep, before.OutOfSyncStep, before.DriftSteps)));
        if (expected == Outcome.Accepted)
        {
            Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now, steps))).Outcome, Is.EqualTo(Outcome.Accepted));
        }

        var record = (await service.AuditOfAsync("CheckOtp")).Last();
        Assert.That((record.Outcome, record.Decision, record.ContractorId, record.TimeStep), Is.EqualTo((expected, Decision.Deny, contractor, (object?)null)));
    }

    [Test]
    public async Task Otp_ThatIsWrong_IsToldAndNotCountedAgainstTheContractor()
    {
        var (contractor, token) = await service.RegisteredAsync();
        var answer = await service.Operations.CheckOtpAsync(contractor, token.WrongAt(Now));
        Assert.That((answer.Outcome, answer.HasOffsetSteps), Is.EqualTo((Outcome.Mismatch, false)));
        Assert.That((await service.Operations.BindingAsync(contractor)).ConsecutiveFailures, Is.Zero);
    }

    [Test]
    public async Task Otp_OfALockedStoppedOrLostContractor_IsLookedAtAllTheSame()
    {
        var (contractor, token) = await service.RegisteredAsync();
        for (var guess = 0; guess < 5; guess++)
        {
            await service.Auth.VerifyAsync(contractor, token.WrongAt(Now));
        }

        Assert.That((await service.Operations.CheckOtpAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.LockedOut));
        await service.Operations.SuspendBindingAsync(contractor);
        Assert.That((await service.Operations.CheckOtpAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
        await service.Operations.ReportLostAsync(contractor);
        Assert.That((await service.Operations.CheckOtpAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted), "by the policy of others' reports, which is a signal");
    }

    [Test]
    public async Task Otp_OfNobodyOrOfOtherDigits_IsToldSo()
    {
        Assert.That((await service.Operations.CheckOtpAsync(Calls.NewContractor(), "123456")).Outcome, Is.EqualTo(Outcome.NotRegistered));
        var (contractor, _) = await service.RegisteredAsync();
        var refusal = await Refusal.OfAsync(async () => await service.Operations.CheckOtpAsync(contractor, "12345678"));
        Assert.That((refusal.Code, refusal.Fields.Single()), Is.EqualTo((StatusCode.InvalidArgument, "otp")));
    }

    [Test]
    public async Task Retry_OfACheck_GetsTheFirstAnswerWithItsOffset()
    {
        var (contractor, token) = await service.RegisteredAsync();
        var id = Calls.NewRequestId();
        var otp = token.At(Now, 1);
        var first = await service.Operations.CheckOtpAsync(contractor, otp, id);
        await service.Auth.VerifyAsync(contractor, otp);
        var retried = await service.Operations.CheckOtpAsync(contractor, otp, id);
        Assert.That((retried.Outcome, retried.OffsetSteps, retried.Repeated), Is.EqualTo((first.Outcome, first.OffsetSteps, true)));
    }
}
