using System.Security.Cryptography;
using Grpc.Core;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;
using OtpAuthService.Verification;

namespace OtpAuthService.Tests.Bindings;

/// <summary>Two consecutive OTPs teach the service how far a credential's clock is off.</summary>
[TestFixture(StoreKind.Sqlite)]
[TestFixture(StoreKind.Postgres)]
[TestFixture(StoreKind.PostgresRedis)]
public class ResynchronizationTests(StoreKind kind)
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
    public async Task TwoOtps_OfAClockThatIsOff_AreLearnedAndBothClaimed([Values(-120, -40, -2, 0, 2, 40, 119)] int off)
    {
        var (contractor, token) = await UnusedAsync();
        var (first, second) = (token.At(Now, off), token.At(Now, off + 1));
        var answer = await service.Auth.ResynchronizeAsync(contractor, first, second);
        Assert.That((answer.Outcome, answer.Decision), Is.EqualTo((Outcome.Accepted, Decision.Allow)));
        var stored = await service.CredentialAsync(token);
        Assert.That((stored.DriftSteps, stored.LastTimeStep), Is.EqualTo((off + 1, TimeStep.At(Now, 30).Plus(off + 1))));

        Assert.That((await service.Auth.VerifyAsync(contractor, second)).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
        Assert.That((await service.Auth.VerifyAsync(contractor, first)).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
        service.Clock.Advance(TimeSpan.FromSeconds(30));
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now, off + 1))).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    [TestCase(121, 122, TestName = "{m}(more than an hour ahead)")]
    [TestCase(-122, -121, TestName = "{m}(more than an hour behind)")]
    [TestCase(10, 12, TestName = "{m}(with one between them)")]
    [TestCase(11, 10, TestName = "{m}(the later one first)")]
    [TestCase(10, 10, TestName = "{m}(the same one twice)")]
    public async Task TwoOtps_ThatAreNoPairOfTheWindow_AreAMismatchAndCounted(int first, int second)
    {
        var (contractor, token) = await UnusedAsync();
        var before = await service.CredentialAsync(token);
        var answer = await service.Auth.ResynchronizeAsync(contractor, token.At(Now, first), token.At(Now, second));
        Assert.That((answer.Outcome, answer.Decision, answer.AttemptsLeft), Is.EqualTo((Outcome.Mismatch, Decision.Deny, 4)));
        var after = await service.CredentialAsync(token);
        Assert.That((after.DriftSteps, after.LastTimeStep), Is.EqualTo((before.DriftSteps, before.LastTimeStep)));
    }

    [Test]
    public async Task OneRightOtp_WithAWrongOne_IsAMismatchAndTellsNothing([Values] bool rightFirst)
    {
        var (contractor, token) = await UnusedAsync();
        var (right, wrong) = (token.At(Now, 10), token.WrongAt(Now));
        var answer = await service.Auth.ResynchronizeAsync(contractor, rightFirst ? right : wrong, rightFirst ? wrong : right);
        Assert.That((answer.Outcome, answer.AttemptsLeft), Is.EqualTo((Outcome.Mismatch, 4)));
    }

    /// <summary>The highest used step is never lowered, and no OTP counts twice: neither of the pair may have been used.</summary>
    [TestCase(-1, 0)]
    [TestCase(0, 1)]
    [TestCase(-40, -39)]
    public async Task APair_OneOfWhichIsUsed_IsAlreadyUsedAndNotCounted(int first, int second)
    {
        var (contractor, token) = await UnusedAsync();
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
        var before = await service.CredentialAsync(token);
        var answer = await service.Auth.ResynchronizeAsync(contractor, token.At(Now, first), token.At(Now, second));
        Assert.That((answer.Outcome, answer.AttemptsLeft), Is.EqualTo((Outcome.AlreadyUsed, 5)));
        var after = await service.CredentialAsync(token);
        Assert.That((after.DriftSteps, after.LastTimeStep), Is.EqualTo((before.DriftSteps, before.LastTimeStep)));
    }

    /// <summary>It was told to a guesser, perhaps.</summary>
    [TestCase(10)]
    [TestCase(11)]
    public async Task APair_OneOfWhichWasToldToBeOutOfSync_IsAlreadyUsed(int told)
    {
        var (contractor, token) = await UnusedAsync();
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now, told))).Outcome, Is.EqualTo(Outcome.OutOfSync));
        Assert.That((await service.Auth.ResynchronizeAsync(contractor, token.At(Now, 10), token.At(Now, 11))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
        Assert.That((await service.Auth.ResynchronizeAsync(contractor, token.At(Now, 12), token.At(Now, 13))).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    [Test]
    public async Task WrongPairs_LockLikeWrongOtps_AndARightOneDoesNotUnlock()
    {
        var (contractor, token) = await UnusedAsync();
        for (var guess = 0; guess < 5; guess++)
        {
            Assert.That((await service.Auth.ResynchronizeAsync(contractor, token.WrongAt(Now), token.WrongAt(Now))).Outcome, Is.EqualTo(Outcome.Mismatch));
        }

        var locked = await service.Auth.ResynchronizeAsync(contractor, token.At(Now, 10), token.At(Now, 11));
        Assert.That((locked.Outcome, locked.AttemptsLeft), Is.EqualTo((Outcome.LockedOut, 0)));
        Assert.That((await service.CredentialAsync(token)).DriftSteps, Is.Zero);
    }

    [Test]
    public async Task RetryOfAPair_GetsTheFirstAnswer_AndAnotherRequestDoesNot()
    {
        var (contractor, token) = await UnusedAsync();
        var id = Calls.NewRequestId();
        var (first, second) = (token.At(Now, 5), token.At(Now, 6));
        Assert.That((await service.Auth.ResynchronizeAsync(contractor, first, second, id)).Repeated, Is.False);
        var again = await service.Auth.ResynchronizeAsync(contractor, first, second, id);
        Assert.That((again.Outcome, again.Repeated), Is.EqualTo((Outcome.Accepted, true)));
        Assert.That((await service.Auth.ResynchronizeAsync(contractor, first, second)).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
    }

    [Test]
    public async Task OnePair_SubmittedToTwoReplicasAtOnce_IsAcceptedOnce()
    {
        await using var replica = await OtpService.StartAsync(service.Stores, service.Clock);
        for (var round = 0; round < 5; round++)
        {
            var (contractor, token) = await UnusedAsync();
            var answers = await Task.WhenAll(Enumerable.Range(0, 8).Select(n => (n % 2 == 0 ? service : replica).Auth
                .ResynchronizeAsync(contractor, token.At(Now, 7), token.At(Now, 8)).ResponseAsync));
            Assert.That(answers.Count(a => a.Outcome == Outcome.Accepted), Is.EqualTo(1));
            Assert.That(answers.Count(a => a.Outcome == Outcome.AlreadyUsed), Is.EqualTo(7));
        }

        Assert.That(replica.Errors.Errors, Is.Empty);
    }

    [Test]
    public async Task WithoutAnActiveBinding_ItIsRefused()
    {
        Assert.That((await service.Auth.ResynchronizeAsync(Calls.NewContractor(), "000000", "000001")).Outcome, Is.EqualTo(Outcome.NotRegistered));
        var (contractor, token) = await UnusedAsync();
        Assert.That((await service.Auth.SuspendAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
        var stopped = await service.Auth.ResynchronizeAsync(contractor, token.At(Now, 5), token.At(Now, 6));
        Assert.That((stopped.Outcome, stopped.Decision), Is.EqualTo((Outcome.Suspended, Decision.Deny)));
    }

    [TestCase("123456", "12345678", "second_otp")]
    [TestCase("12345678", "12345678", "first_otp")]
    public async Task OtpsOfAnotherNumberOfDigits_AreInvalidAndNotCounted(string first, string second, string field)
    {
        var (contractor, _) = await UnusedAsync();
        var refusal = await Refusal.OfAsync(async () => await service.Auth.ResynchronizeAsync(contractor, first, second));
        Assert.That((refusal.Code, refusal.Fields.Single()), Is.EqualTo((StatusCode.InvalidArgument, field)));
        Assert.That((await service.Operations.BindingAsync(contractor)).ConsecutiveFailures, Is.Zero);
    }

    private async Task<(string Contractor, SoftToken Token)> UnusedAsync()
    {
        var token = await service.InsertCredentialAsync(RandomNumberGenerator.GetBytes(20));
        var contractor = Calls.NewContractor();
        Assert.That((await service.Auth.RegisterAsync(contractor, token.CredentialId, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
        service.Clock.Advance(TimeSpan.FromHours(2));
        return (contractor, token);
    }
}

/// <summary>By policy a contractor ends a lock that ends by itself, with two consecutive OTPs.</summary>
[TestFixture(StoreKind.Sqlite)]
[TestFixture(StoreKind.Postgres)]
[TestFixture(StoreKind.PostgresRedis)]
public class UnlockByContractorTests(StoreKind kind)
{
    private OtpService service = null!;

    private DateTimeOffset Now => service.Clock.GetUtcNow();

    [OneTimeSetUp]
    public async Task StartAsync()
    {
        service = await OtpService.StartAsync(kind);
        await service.Operations.SetInstitutionPolicyAsync(new()
        {
            RequestId = Calls.NewRequestId(),
            InstitutionId = "demo",
            DisplayName = "Demo Shinkin Bank",
            Policy = new InstitutionPolicy { ContractorMayUnlock = true },
            ExpectedVersion = 1,
            Reason = "asked for by the branches",
        });
    }

    [OneTimeTearDown]
    public async Task StopAsync() => await service.DisposeAsync();

    [TearDown]
    public void NoErrorWasLogged() => Assert.That(service.Errors.Errors, Is.Empty);

    [Test]
    public async Task TwoConsecutiveOtps_EndATemporaryLock()
    {
        var (contractor, token) = await LockedAsync();
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.LockedOut), "one OTP does not");
        var answer = await service.Auth.ResynchronizeAsync(contractor, token.At(Now, -1), token.At(Now));
        Assert.That((answer.Outcome, answer.AttemptsLeft), Is.EqualTo((Outcome.Accepted, 5)));
        service.Clock.Advance(TimeSpan.FromSeconds(30));
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    /// <summary>It is no way around the second limit: that lock ends by an operator only.</summary>
    [Test]
    public async Task WrongPairs_WhileLocked_LeadToTheLockThatOnlyAnOperatorEnds()
    {
        var (contractor, token) = await LockedAsync();
        for (var guess = 0; guess < 5; guess++)
        {
            var wrong = await service.Auth.ResynchronizeAsync(contractor, token.WrongAt(Now), token.WrongAt(Now));
            Assert.That((wrong.Outcome, wrong.AttemptsLeft), Is.EqualTo((Outcome.Mismatch, 0)));
        }

        var locked = await service.Auth.ResynchronizeAsync(contractor, token.At(Now, -1), token.At(Now));
        Assert.That((locked.Outcome, locked.RetryAfter), Is.EqualTo((Outcome.LockedOut, (Google.Protobuf.WellKnownTypes.Duration?)null)));
    }

    private async Task<(string Contractor, SoftToken Token)> LockedAsync()
    {
        var (contractor, token) = await service.RegisteredAsync();
        service.Clock.Advance(TimeSpan.FromMinutes(2));
        for (var guess = 0; guess < 5; guess++)
        {
            await service.Auth.VerifyAsync(contractor, token.WrongAt(Now));
        }

        return (contractor, token);
    }
}
