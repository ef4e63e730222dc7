using Google.Protobuf;
using Grpc.Core;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Services;

/// <summary>Under generic detail every refusal is the same message, whoever it is about; what was decided is on record. (Its time: Bench, timing.)</summary>
[TestFixture(StoreKind.Sqlite)]
[TestFixture(StoreKind.PostgresRedis)]
public class GenericAnswersTests(StoreKind kind)
{
    private OtpService service = null!;

    private DateTimeOffset Now => service.Clock.GetUtcNow();

    [OneTimeSetUp]
    public async Task StartAsync()
    {
        service = await OtpService.StartAsync(kind);
        await service.Operations.SetInstitutionPolicyAsync(new SetInstitutionPolicyRequest
        {
            RequestId = Calls.NewRequestId(),
            InstitutionId = "demo",
            DisplayName = "Demo Shinkin Bank",
            Policy = new InstitutionPolicy { OutcomeDetail = OutcomeDetail.Generic, NotRegisteredLogin = Decision.Deny, SuspendedLogin = Decision.Deny },
            ExpectedVersion = 1,
            Reason = "answers are shown as they are",
        });
    }

    [OneTimeTearDown]
    public async Task StopAsync() => await service.DisposeAsync();

    [TearDown]
    public void NoErrorWasLogged() => Assert.That(service.Errors.Errors, Is.Empty);

    [Test]
    public async Task Verify_RefusedForAnyReason_IsAnsweredAlikeAndRecordedAsItIs()
    {
        var (registered, token) = await service.RegisteredAsync();
        var used = token.At(Now);
        Assert.That((await service.Auth.VerifyAsync(registered, used)).Outcome, Is.EqualTo(Outcome.Accepted), "a right OTP is told to be right");

        var unknown = Calls.NewContractor();
        var locked = await LockedAsync();
        var suspended = await SuspendedAsync();
        var answers = new Dictionary<string, VerifyResponse>
        {
            ["unknown"] = await service.Auth.VerifyAsync(unknown, "000000"),
            ["wrong"] = await service.Auth.VerifyAsync(registered, token.WrongAt(Now)),
            ["other length"] = await service.Auth.VerifyAsync(registered, "12345678"),
            ["unknown, other length"] = await service.Auth.VerifyAsync(unknown, "12345678"),
            ["used"] = await service.Auth.VerifyAsync(registered, used),
            ["locked"] = await service.Auth.VerifyAsync(locked.Contractor, locked.Token.At(Now)),
            ["suspended"] = await service.Auth.VerifyAsync(suspended.Contractor, suspended.Token.At(Now, 1)),
        };
        AllAlike(answers.ToDictionary(a => a.Key, a => (IOtpAnswer)a.Value));

        Assert.That(await OutcomesAsync(unknown), Is.EqualTo(new[] { Outcome.NotRegistered, Outcome.NotRegistered }));
        Assert.That(
            (await OutcomesAsync(registered)).Skip(2), Is.EqualTo(new[] { Outcome.Mismatch, Outcome.Mismatch, Outcome.AlreadyUsed }));
        Assert.That((await OutcomesAsync(locked.Contractor))[^1], Is.EqualTo(Outcome.LockedOut));
        Assert.That((await OutcomesAsync(suspended.Contractor))[^1], Is.EqualTo(Outcome.Suspended));
        Assert.That((await service.Operations.BindingAsync(registered)).ConsecutiveFailures, Is.EqualTo(1), "an OTP of another length is no guess");
    }

    [Test]
    public async Task RegisterAndSuspend_RefusedForAnyReason_AreAnsweredAlike()
    {
        var (registered, token) = await service.RegisteredAsync();
        var free = await service.Operations.IssueAsync();
        var suspended = await SuspendedAsync();
        AllAlike(new Dictionary<string, IOtpAnswer>
        {
            ["unknown credential"] = await service.Auth.RegisterAsync(Calls.NewContractor(), "VSST99999999", "000000"),
            ["credential in use"] = await service.Auth.RegisterAsync(Calls.NewContractor(), token.CredentialId, token.At(Now)),
            ["wrong OTP"] = await service.Auth.RegisterAsync(Calls.NewContractor(), free.CredentialId, free.WrongAt(Now)),
            ["other length"] = await service.Auth.RegisterAsync(Calls.NewContractor(), free.CredentialId, "12345678"),
            ["registered already"] = await service.Auth.RegisterAsync(registered, free.CredentialId, free.At(Now)),
        });
        AllAlike(new Dictionary<string, IOtpAnswer>
        {
            ["unknown contractor"] = await service.Auth.SuspendAsync(Calls.NewContractor(), "000000"),
            ["wrong OTP"] = await service.Auth.SuspendAsync(registered, token.WrongAt(Now)),
            ["suspended already"] = await service.Auth.SuspendAsync(suspended.Contractor, suspended.Token.At(Now, 1)),
        });
    }

    [Test]
    public async Task Retry_OfARefusal_IsTheSameRefusalWhoeverItIsAbout()
    {
        var (registered, token) = await service.RegisteredAsync();
        foreach (var (contractor, otp) in new[] { (registered, token.WrongAt(Now)), (registered, "12345678"), (Calls.NewContractor(), "000000") })
        {
            var id = Calls.NewRequestId();
            var first = await service.Auth.VerifyAsync(contractor, otp, id);
            var again = await service.Auth.VerifyAsync(contractor, otp, id);
            Assert.That((first.Repeated, again.Repeated, again.DecidedAt), Is.EqualTo((false, true, first.DecidedAt)));
            again.Repeated = false;
            Assert.That(again, Is.EqualTo(first));
        }
    }

    [Test]
    public async Task Requirement_OfWhomeverItIs_IsRequired()
    {
        var (registered, _) = await service.RegisteredAsync();
        var locked = await LockedAsync();
        var suspended = await SuspendedAsync();
        foreach (var contractor in new[] { registered, locked.Contractor, suspended.Contractor, Calls.NewContractor() })
        {
            Assert.That(await service.Auth.RequirementAsync(contractor), Is.EqualTo(new GetRequirementResponse { Requirement = Requirement.Required }));
        }
    }

    /// <summary>What is wrong with the request itself is still told: it says nothing about anybody.</summary>
    [Test]
    public async Task Verify_OfAMalformedOtp_IsStillInvalid()
    {
        var (registered, _) = await service.RegisteredAsync();
        foreach (var contractor in new[] { registered, Calls.NewContractor() })
        {
            var refusal = await Refusal.OfAsync(async () => await service.Auth.VerifyAsync(contractor, "1234567"));
            Assert.That((refusal.Code, refusal.Fields.Single()), Is.EqualTo((StatusCode.InvalidArgument, "otp")));
        }
    }

    private static void AllAlike(Dictionary<string, IOtpAnswer> answers)
    {
        foreach (var (why, answer) in answers)
        {
            Assert.That(
                (answer.Outcome, answer.Decision, answer.HasAttemptsLeft, answer.RetryAfter, answer.Repeated),
                Is.EqualTo((Outcome.Mismatch, Decision.Deny, false, (object?)null, false)),
                why);
            answer.DecidedAt = null!;
        }

        Assert.That(answers.Values.Select(a => ((IMessage)a).ToByteString()).Distinct().Count(), Is.EqualTo(1), "the same bytes");
    }

    private async Task<List<Outcome>> OutcomesAsync(string contractor) => [.. (await service.AuditAsync(contractor)).Select(r => r.Outcome)];

    private async Task<(string Contractor, SoftToken Token)> LockedAsync()
    {
        var (contractor, token) = await service.RegisteredAsync();
        for (var i = 0; i < 5; i++)
        {
            await service.Auth.VerifyAsync(contractor, token.WrongAt(Now));
        }

        return (contractor, token);
    }

    private async Task<(string Contractor, SoftToken Token)> SuspendedAsync()
    {
        var (contractor, token) = await service.RegisteredAsync();
        Assert.That((await service.Auth.SuspendAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
        return (contractor, token);
    }
}
