using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Institutions;

/// <summary>What operators decide for an institution: checked, versioned, on record, in force, and nobody else's.</summary>
[TestFixture(StoreKind.Sqlite)]
[TestFixture(StoreKind.PostgresRedis)]
public class PolicyTests(StoreKind kind)
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

    [Test]
    public async Task Policy_NotSet_IsTheDefaultInFull()
    {
        var shown = await service.Operations.GetInstitutionAsync(new GetInstitutionRequest { InstitutionId = "demo" });
        Assert.That((shown.DisplayName, shown.PolicyVersion, shown.BypassStoppedAt), Is.EqualTo(("Demo Shinkin Bank", 1, (Timestamp?)null)));
        Assert.That(shown.Policy, Is.EqualTo(new InstitutionPolicy
        {
            AcceptanceWindow = AcceptanceWindowProfile.Default,
            TemporaryLimit = 5,
            HardLimit = 10,
            TemporaryLock = Duration.FromTimeSpan(TimeSpan.FromMinutes(30)),
            NotRegisteredLogin = Decision.Allow,
            SuspendedLogin = Decision.Allow,
            ChannelsNeedingOtp = { Channel.PcBrowser, Channel.Smartphone },
            ForeignLossReports = ForeignLossReports.Signal,
            OutcomeDetail = OutcomeDetail.Full,
            AuditContractorIds = AuditContractorIds.Plain,
        }));
    }

    [Test]
    public async Task Policy_Set_IsShownVersionedAndOnRecord()
    {
        var policy = new InstitutionPolicy
        {
            AcceptanceWindow = AcceptanceWindowProfile.Strict,
            TemporaryLimit = 3,
            HardLimit = 6,
            TemporaryLock = Duration.FromTimeSpan(TimeSpan.FromHours(2)),
            NotRegisteredLogin = Decision.Deny,
            SuspendedLogin = Decision.Deny,
            ChannelsNeedingOtp = { Channel.PcBrowser },
            ForeignLossReports = ForeignLossReports.Block,
            OutcomeDetail = OutcomeDetail.Generic,
            AuditContractorIds = AuditContractorIds.KeyedHash,
        };
        var first = await SetAsync(policy, version: 1, name: "湊信用金庫");
        Assert.That((first.PolicyVersion, first.Repeated), Is.EqualTo((2, false)));
        var shown = await service.Operations.GetInstitutionAsync(new GetInstitutionRequest { InstitutionId = "demo" });
        Assert.That((shown.Policy, shown.PolicyVersion, shown.DisplayName), Is.EqualTo((policy, 2, "湊信用金庫")));

        await SetAsync(new InstitutionPolicy(), version: 2);
        shown = await service.Operations.GetInstitutionAsync(new GetInstitutionRequest { InstitutionId = "demo" });
        Assert.That((shown.Policy.TemporaryLimit, shown.Policy.OutcomeDetail, shown.PolicyVersion), Is.EqualTo((5, OutcomeDetail.Full, 3)), "what is not set is the default again");

        var versions = await service.PolicyVersionsAsync();
        Assert.That(versions.Select(v => (v.InstitutionId.Value, v.Version, v.CallerId, v.Reason)), Is.EqualTo(new[] { ("demo", 2, "local", "a test"), ("demo", 3, "local", "a test") }));
        Assert.That(versions[0].Policy, Does.Contain("ACCEPTANCE_WINDOW_PROFILE_STRICT"));
        Assert.That((await service.AuditOfAsync("SetInstitutionPolicy")).Select(r => (r.InstitutionId.Value, r.Reason)), Is.EqualTo(new[] { ("demo", "a test"), ("demo", "a test") }));
    }

    [Test]
    public async Task Policy_SetTwiceOnOneVersion_IsSetOnce()
    {
        var answers = await Task.WhenAll(Enumerable.Range(0, 6).Select(async i =>
        {
            try
            {
                await SetAsync(new InstitutionPolicy { TemporaryLimit = 1 + (i % 5) }, version: 1);
                return StatusCode.OK;
            }
            catch (RpcException refused)
            {
                Assert.That(refused.GetRpcStatus()!.GetDetail<Google.Rpc.ErrorInfo>()!.Reason, Is.EqualTo("POLICY_VERSION"));
                return refused.StatusCode;
            }
        }));
        Assert.That(answers.Count(a => a == StatusCode.OK), Is.EqualTo(1));
        Assert.That(answers.Where(a => a != StatusCode.OK), Is.All.EqualTo(StatusCode.Aborted));
        Assert.That(await service.PolicyVersionsAsync(), Has.Count.EqualTo(1));
    }

    [Test]
    public async Task Policy_SentAgain_GetsTheFirstAnswer()
    {
        var id = Calls.NewRequestId();
        var first = await SetAsync(new InstitutionPolicy { HardLimit = 8 }, version: 1, requestId: id);
        var again = await SetAsync(new InstitutionPolicy { HardLimit = 8 }, version: 1, requestId: id);
        Assert.That((again.PolicyVersion, again.DecidedAt, again.Repeated), Is.EqualTo((2, first.DecidedAt, true)));
        Assert.That(await service.PolicyVersionsAsync(), Has.Count.EqualTo(1));
        var other = await Refusal.OfAsync(() => SetAsync(new InstitutionPolicy { HardLimit = 9 }, version: 1, requestId: id));
        Assert.That((other.Code, other.Fields.Single()), Is.EqualTo((StatusCode.InvalidArgument, "request_id")));
    }

    private static IEnumerable<TestCaseData> Invalid()
    {
        yield return Row("acceptance_window", p => p.AcceptanceWindow = (AcceptanceWindowProfile)3);
        yield return Row("temporary_limit", p => p.TemporaryLimit = 6);
        yield return Row("temporary_limit", p => p.TemporaryLimit = -1);
        yield return Row("hard_limit", p => p.HardLimit = 11);
        yield return Row("hard_limit", p => p.HardLimit = 5);
        yield return Row("hard_limit", p => p.HardLimit = -1);
        yield return Row("temporary_lock", p => p.TemporaryLock = Duration.FromTimeSpan(TimeSpan.FromMinutes(30) - TimeSpan.FromMilliseconds(1)));
        yield return Row("temporary_lock", p => p.TemporaryLock = Duration.FromTimeSpan(TimeSpan.FromHours(24.1)));
        yield return Row("temporary_lock", p => p.TemporaryLock = new Duration { Seconds = long.MaxValue });
        yield return Row("temporary_lock", p => p.TemporaryLock = new Duration { Seconds = 3600, Nanos = -1 });
        yield return Row("not_registered_login", p => p.NotRegisteredLogin = (Decision)3);
        yield return Row("suspended_login", p => p.SuspendedLogin = (Decision)(-1));
        yield return Row("channels_needing_otp", p => p.ChannelsNeedingOtp.Add(Channel.Unspecified));
        yield return Row("channels_needing_otp", p => p.ChannelsNeedingOtp.Add((Channel)9));
        yield return Row("foreign_loss_reports", p => p.ForeignLossReports = (ForeignLossReports)7);
        yield return Row("outcome_detail", p => p.OutcomeDetail = (OutcomeDetail)3);
        yield return Row("audit_contractor_ids", p => p.AuditContractorIds = (AuditContractorIds)3);
        yield return Row("outcome_detail", p => p.OutcomeDetail = OutcomeDetail.Generic);
        yield return Row("outcome_detail", p => (p.OutcomeDetail, p.NotRegisteredLogin) = (OutcomeDetail.Generic, Decision.Deny));

        static TestCaseData Row(string field, Action<InstitutionPolicy> change) => new TestCaseData(field, change).SetArgDisplayNames(field);
    }

    [TestCaseSource(nameof(Invalid))]
    public async Task Policy_BeyondItsRules_IsInvalidAndChangesNothing(string field, Action<InstitutionPolicy> change)
    {
        var policy = new InstitutionPolicy();
        change(policy);
        var refusal = await Refusal.OfAsync(() => SetAsync(policy, version: 1));
        Assert.That((refusal.Code, refusal.Fields.Single()), Is.EqualTo((StatusCode.InvalidArgument, $"policy.{field}")));
        Assert.That((await service.Operations.GetInstitutionAsync(new GetInstitutionRequest { InstitutionId = "demo" })).PolicyVersion, Is.EqualTo(1));
    }

    [Test]
    public async Task Institution_NotSetUp_IsSetUpByItsFirstPolicy()
    {
        using var callers = new CallersUnderTest(CallerRow.Operator("operator", "new-bank"), CallerRow.Frontend("frontend", "new-bank"));
        await using var production = await OtpService.StartAsync(service.Stores, service.Clock, callers.Settings);
        using var frontend = callers.Connect(production, "frontend");
        using var operators = callers.Connect(production, "operator");
        var missing = await Refusal.OfAsync(async () => await frontend.Auth.VerifyAsync("C-1", "123456", institution: "new-bank"));
        Assert.That((missing.Code, missing.Info), Is.EqualTo((StatusCode.FailedPrecondition, ("INSTITUTION_MISSING", "otpauth.v1"))));

        await operators.Operations.SetInstitutionPolicyAsync(Request(new InstitutionPolicy(), "new-bank", 0));
        var shown = await operators.Operations.GetInstitutionAsync(new GetInstitutionRequest { InstitutionId = "new-bank" });
        Assert.That((shown.PolicyVersion, shown.DisplayName), Is.EqualTo((1, "A bank")));
        Assert.That((await frontend.Auth.VerifyAsync("C-1", "123456", institution: "new-bank")).Outcome, Is.EqualTo(Outcome.NotRegistered));
        var again = await Refusal.OfAsync(async () => await operators.Operations.SetInstitutionPolicyAsync(Request(new InstitutionPolicy(), "new-bank", 0)));
        Assert.That(again.Code, Is.EqualTo(StatusCode.Aborted));
    }

    /// <summary>A current-step-only window: what the default takes is refused.</summary>
    [Test]
    public async Task Window_Strict_TakesTheCurrentStepOnly()
    {
        var (contractor, token) = await service.RegisteredAsync();
        await SetAsync(new InstitutionPolicy { AcceptanceWindow = AcceptanceWindowProfile.Strict }, version: 1);
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now, 1))).Outcome, Is.EqualTo(Outcome.OutOfSync));
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    [Test]
    public async Task Limits_Stricter_LockEarlierAndLonger()
    {
        var (contractor, token) = await service.RegisteredAsync();
        await SetAsync(new InstitutionPolicy { TemporaryLimit = 2, HardLimit = 3, TemporaryLock = Duration.FromTimeSpan(TimeSpan.FromHours(2)) }, version: 1);
        var first = await service.Auth.VerifyAsync(contractor, token.WrongAt(Now));
        var second = await service.Auth.VerifyAsync(contractor, token.WrongAt(Now));
        Assert.That((first.AttemptsLeft, second.AttemptsLeft), Is.EqualTo((1, 0)));
        Assert.That(second.RetryAfter.ToTimeSpan(), Is.EqualTo(TimeSpan.FromHours(2)));
        Assert.That((await service.Auth.RequirementAsync(contractor)).Requirement, Is.EqualTo(Requirement.Blocked));

        service.Clock.Advance(TimeSpan.FromHours(2));
        Assert.That((await service.Auth.VerifyAsync(contractor, token.WrongAt(Now))).AttemptsLeft, Is.Zero);
        var hard = await service.Auth.VerifyAsync(contractor, token.At(Now));
        Assert.That((hard.Outcome, hard.RetryAfter), Is.EqualTo((Outcome.LockedOut, (Duration?)null)));
        Assert.That((await service.Operations.BindingAsync(contractor)).Lockout.Until, Is.Null);
    }

    /// <summary>Whoever has used up a stricter budget before it came is locked by the next wrong OTP.</summary>
    [Test]
    public async Task Limits_MadeStricterThanWhatIsCounted_LockWithTheNextOne()
    {
        var (contractor, token) = await service.RegisteredAsync();
        for (var i = 0; i < 4; i++)
        {
            await service.Auth.VerifyAsync(contractor, token.WrongAt(Now));
        }

        await SetAsync(new InstitutionPolicy { TemporaryLimit = 2 }, version: 1);
        var next = await service.Auth.VerifyAsync(contractor, token.WrongAt(Now));
        Assert.That((next.AttemptsLeft, next.RetryAfter.ToTimeSpan()), Is.EqualTo((0, TimeSpan.FromMinutes(30))));
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.LockedOut));
    }

    [Test]
    public async Task WithoutCredential_Login_IsDecidedByPolicyAndEverythingElseDenied()
    {
        var suspended = await service.RegisteredAsync();
        await service.Auth.SuspendAsync(suspended.Contractor, suspended.Token.At(Now));
        await SetAsync(new InstitutionPolicy { NotRegisteredLogin = Decision.Deny }, version: 1);
        await ExpectAsync("C-NOBODY", Outcome.NotRegistered, Decision.Deny);
        await ExpectAsync(suspended.Contractor, Outcome.Suspended, Decision.Allow);
        await SetAsync(new InstitutionPolicy { SuspendedLogin = Decision.Deny }, version: 2);
        await ExpectAsync("C-NOBODY", Outcome.NotRegistered, Decision.Allow);
        await ExpectAsync(suspended.Contractor, Outcome.Suspended, Decision.Deny);

        async Task ExpectAsync(string contractor, Outcome outcome, Decision login)
        {
            foreach (var purpose in System.Enum.GetValues<Purpose>().Where(p => p != Purpose.Unspecified))
            {
                var answer = await service.Auth.VerifyAsync(contractor, "123456", purpose: purpose);
                Assert.That((answer.Outcome, answer.Decision), Is.EqualTo((outcome, purpose == Purpose.Login ? login : Decision.Deny)), $"{contractor} {purpose}");
            }
        }
    }

    [Test]
    public async Task Channels_NotNeedingAnOtp_AreExemptAndTheFeaturePhoneAmongThemIsNotBypassed()
    {
        var (contractor, token) = await service.RegisteredAsync();
        await SetAsync(new InstitutionPolicy { ChannelsNeedingOtp = { Channel.PcBrowser, Channel.FeaturePhone } }, version: 1);
        Assert.That((await service.Auth.RequirementAsync(contractor, Channel.PcBrowser)).Requirement, Is.EqualTo(Requirement.Required));
        Assert.That((await service.Auth.RequirementAsync(contractor, Channel.Smartphone)).Requirement, Is.EqualTo(Requirement.Exempt));
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now), channel: Channel.Smartphone)).Outcome, Is.EqualTo(Outcome.Accepted));
        var refusal = await Refusal.OfAsync(async () => await service.Auth.VerifyAsync(contractor, "", channel: Channel.FeaturePhone));
        Assert.That((refusal.Code, refusal.Info), Is.EqualTo((StatusCode.PermissionDenied, ("BYPASS_NOT_ALLOWED", "otpauth.v1"))));
    }

    [Test]
    public async Task Policy_OfOneInstitution_IsNotAnothers()
    {
        await SetAsync(new InstitutionPolicy { TemporaryLimit = 1, NotRegisteredLogin = Decision.Deny }, version: 1);
        var (contractor, token) = await service.RegisteredAsync("minato");
        Assert.That((await service.Auth.VerifyAsync(contractor, token.WrongAt(Now), institution: "minato")).AttemptsLeft, Is.EqualTo(4));
        Assert.That((await service.Auth.VerifyAsync("C-NOBODY", "123456", institution: "minato")).Decision, Is.EqualTo(Decision.Allow));
    }

    [Test]
    public async Task Policy_Changed_IsInForceOnAnotherReplicaWithinASecond()
    {
        if (kind == StoreKind.Sqlite)
        {
            Assert.Pass("The embedded default has one replica.");
        }

        await using var replica = await OtpService.StartAsync(service.Stores, service.Clock);
        await replica.Auth.VerifyAsync("C-NOBODY", "123456");
        await SetAsync(new InstitutionPolicy { NotRegisteredLogin = Decision.Deny }, version: 1);
        Assert.That((await service.Auth.VerifyAsync("C-NOBODY", "123456")).Decision, Is.EqualTo(Decision.Deny), "on the one that answered");
        await Eventually.IsTrueAsync(
            async () => (await replica.Auth.VerifyAsync("C-NOBODY", "123456")).Decision == Decision.Deny, "on the other", seconds: 2);
    }

    private Task<SetInstitutionPolicyResponse> SetAsync(InstitutionPolicy policy, int version, string? requestId = null, string name = "Demo Shinkin Bank") =>
        service.Operations.SetInstitutionPolicyAsync(Request(policy, "demo", version, requestId, name)).ResponseAsync;

    private static SetInstitutionPolicyRequest Request(
        InstitutionPolicy policy, string institution, int version, string? requestId = null, string name = "A bank") => new()
    {
        RequestId = requestId ?? Calls.NewRequestId(),
        InstitutionId = institution,
        DisplayName = name,
        Policy = policy,
        ExpectedVersion = version,
        Reason = "a test",
    };
}
