using Grpc.Core;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Verification;

/// <summary>Answers without an OTP belong to the caller's grant (promise P6), and end with it, with the kill switch, with the contractor's word and at the caps.</summary>
[TestFixture(StoreKind.Sqlite)]
[TestFixture(StoreKind.Postgres)]
public class BypassTests(StoreKind kind)
{
    private CallersUnderTest callers = null!;
    private OtpService service = null!;

    private DateTimeOffset Now => service.Clock.GetUtcNow();

    [OneTimeSetUp]
    public async Task StartAsync()
    {
        var now = TimeProvider.System.GetUtcNow();
        callers = new CallersUnderTest(Rows(now));
        service = await OtpService.StartAsync(kind, callers.Settings);
    }

    [OneTimeTearDown]
    public async Task StopAsync()
    {
        await service.DisposeAsync();
        callers.Dispose();
    }

    private static CallerRow[] Rows(DateTimeOffset now) =>
    [
        CallerRow.Gateway("gateway", Grant("demo", now), Grant("minato", now)),
        CallerRow.Gateway("few-an-hour", Grant("demo", now) with { PerContractorPerHour = 2 }),
        CallerRow.Gateway("few-a-minute", Grant("demo", now) with { PerMinute = 3 }),
        CallerRow.Gateway("ended", new GrantRow("demo", now.AddDays(-90), now.AddDays(-1))),
        CallerRow.Gateway("not-begun", new GrantRow("demo", now.AddDays(1), now.AddDays(30))),
        CallerRow.Gateway("other-bank", Grant("minato", now)) with { Institutions = ["demo", "minato"] },
        new CallerRow("without", ["MobileGateway"], "demo"),
        new CallerRow("no-channel", ["MobileGateway"], "demo") { Channels = ["PC_BROWSER"], Bypass = [Grant("demo", now)] },
        CallerRow.Frontend("frontend", "demo"),
        CallerRow.Operator("operator", "demo"),
    ];

    private static GrantRow Grant(string institution, DateTimeOffset now) => new(institution, now.AddDays(-1), now.AddDays(60));

    [Test]
    public async Task Gateway_WithAGrant_IsAnsweredBypassedOnRecordAndCounted()
    {
        var contractor = Calls.NewContractor();
        using var gateway = callers.Connect(service, "gateway");
        Assert.That((await gateway.Auth.RequirementAsync(contractor, Channel.FeaturePhone)).Requirement, Is.EqualTo(Requirement.Exempt));
        var answer = await BypassAsync(gateway, contractor);
        Assert.That((answer.Outcome, answer.Decision), Is.EqualTo((Outcome.Bypassed, Decision.Allow)));
        var record = (await service.AuditAsync(contractor)).Single();
        Assert.That((record.CallerId, record.Outcome, record.Channel), Is.EqualTo(("gateway", Outcome.Bypassed, Channel.FeaturePhone)));
        using var http = new HttpClient();
        Assert.That(await http.GetStringAsync($"{service.ManagementAddress}/metrics"), Does.Match("otp_decisions_total\\{.*outcome=\"Bypassed\".*\\} [1-9]"));
    }

    [TestCase("ended", "BYPASS_NOT_GRANTED")]
    [TestCase("not-begun", "BYPASS_NOT_GRANTED")]
    [TestCase("other-bank", "BYPASS_NOT_GRANTED")]
    [TestCase("without", "BYPASS_NOT_GRANTED")]
    [TestCase("no-channel", "CHANNEL_NOT_CALLERS")]
    [TestCase("frontend", "CHANNEL_NOT_CALLERS")]
    public async Task Caller_WithoutAGrantThatHolds_IsPermissionDenied(string id, string reason)
    {
        var before = await service.TracesAsync();
        using var caller = callers.Connect(service, id);
        await DeniedAsync(reason, () => BypassAsync(caller, Calls.NewContractor()));
        await DeniedAsync(reason, async () => await caller.Auth.RequirementAsync("C-1", Channel.FeaturePhone));
        Assert.That(await service.TracesAsync(), Is.EqualTo(before));
        Assert.That(service.Errors.All, Does.Contain($"Security event {reason}, caller '{id}'"));
    }

    /// <summary>What proxies and phones say about themselves gives nothing and takes nothing.</summary>
    [Test]
    public async Task Metadata_OfAnyKind_HasNoEffect()
    {
        var contractor = Calls.NewContractor();
        var claims = new Metadata
        {
            { "x-forwarded-for", "127.0.0.1" }, { "x-forwarded-client-cert", $"URI={CallersUnderTest.NameOf("gateway")}" }, { "forwarded", "for=127.0.0.1" },
            { "x-up-subno", "05001010101010_vx.ezweb.ne.jp" }, { "x-dcmguid", "0000000" }, { "x-client-cert", "gateway" },
            { "x-spiffe-id", CallersUnderTest.NameOf("gateway") }, { "authorization", "Bearer gateway" }, { "channel", "CHANNEL_FEATURE_PHONE" },
        };
        using var frontend = callers.Connect(service, "frontend");
        await DeniedAsync("CHANNEL_NOT_CALLERS", () => BypassAsync(frontend, contractor, claims));
        using var gateway = callers.Connect(service, "gateway");
        Assert.That((await BypassAsync(gateway, contractor, claims)).Outcome, Is.EqualTo(Outcome.Bypassed));
        Assert.That((await service.AuditAsync(contractor)).Single().CallerId, Is.EqualTo("gateway"));
    }

    [Test]
    public async Task Contractor_WhoOptedOut_IsNotBypassedFromTheAnswerOnByAnyReplica()
    {
        var contractor = Calls.NewContractor();
        await using var replica = kind == StoreKind.Sqlite ? null : await OtpService.StartAsync(service.Stores, service.Clock, callers.Settings);
        using var here = callers.Connect(service, "gateway");
        using var there = callers.Connect(replica ?? service, "gateway");
        using var operators = callers.Connect(service, "operator");
        Assert.That((await BypassAsync(there, contractor)).Outcome, Is.EqualTo(Outcome.Bypassed));

        await OptOutAsync(operators, contractor, never: true);
        foreach (var gateway in new[] { here, there })
        {
            var refused = await BypassAsync(gateway, contractor);
            Assert.That((refused.Outcome, refused.Decision, refused.RetryAfter), Is.EqualTo((Outcome.BypassRefused, Decision.Deny, (object?)null)));
            Assert.That((await gateway.Auth.RequirementAsync(contractor, Channel.FeaturePhone)).Requirement, Is.EqualTo(Requirement.Blocked));
        }

        Assert.That((await operators.Operations.BindingAsync(contractor)).NeverBypassed, Is.True);
        await OptOutAsync(operators, contractor, never: false);
        Assert.That((await BypassAsync(there, contractor)).Outcome, Is.EqualTo(Outcome.Bypassed));
        var records = await service.AuditAsync(contractor);
        Assert.That(
            records.Select(r => (r.Rpc, r.Outcome, r.Reason)),
            Is.EquivalentTo(new (string, Outcome, string?)[]
            {
                ("Verify", Outcome.Bypassed, null), ("SetBypassOptOut", Outcome.Accepted, "asked at the counter"),
                ("Verify", Outcome.BypassRefused, null), ("Verify", Outcome.BypassRefused, null),
                ("SetBypassOptOut", Outcome.Accepted, "asked at the counter"), ("Verify", Outcome.Bypassed, null),
            }));
    }

    [Test]
    public async Task KillSwitch_Thrown_StopsEveryReplicaWithinTwoSecondsForItsInstitutionOnly()
    {
        await using var replica = kind == StoreKind.Sqlite ? null : await OtpService.StartAsync(service.Stores, service.Clock, callers.Settings);
        using var here = callers.Connect(service, "gateway");
        using var there = callers.Connect(replica ?? service, "gateway");
        using var operators = callers.Connect(service, "operator");
        var contractor = Calls.NewContractor();
        await BypassAsync(there, contractor);

        var id = Calls.NewRequestId();
        var stop = new StopBypassRequest { RequestId = id, InstitutionId = "demo", Reason = "strange calls" };
        Assert.That((await operators.Operations.StopBypassAsync(stop)).Repeated, Is.False);
        Assert.That((await operators.Operations.StopBypassAsync(stop)).Repeated, Is.True);
        await DeniedAsync("BYPASS_STOPPED", () => BypassAsync(here, contractor));
        await Eventually.IsTrueAsync(() => IsDeniedAsync(there, contractor), "the other replica has stopped", seconds: 2);
        await DeniedAsync("BYPASS_STOPPED", async () => await here.Auth.RequirementAsync(contractor, Channel.FeaturePhone));
        Assert.That((await BypassAsync(here, contractor, institution: "minato")).Outcome, Is.EqualTo(Outcome.Bypassed));

        await operators.Operations.ResumeBypassAsync(new ResumeBypassRequest { RequestId = Calls.NewRequestId(), InstitutionId = "demo", Reason = "explained" });
        Assert.That((await BypassAsync(here, contractor)).Outcome, Is.EqualTo(Outcome.Bypassed));
        await Eventually.IsTrueAsync(async () => !await IsDeniedAsync(there, contractor), "the other replica has resumed", seconds: 2);
    }

    [Test]
    public async Task Grant_TakenOutOfTheFile_IsGoneWithinTwoSeconds()
    {
        using var gateway = callers.Connect(service, "gateway");
        var contractor = Calls.NewContractor();
        await BypassAsync(gateway, contractor);
        var rows = Rows(TimeProvider.System.GetUtcNow());
        callers.Write([rows[0] with { Bypass = null }, .. rows[1..]]);
        await Eventually.IsTrueAsync(() => IsDeniedAsync(gateway, contractor), "the grant is gone", seconds: 2);
        callers.Write(rows);
        await Eventually.IsTrueAsync(async () => !await IsDeniedAsync(gateway, contractor), "the grant is back", seconds: 2);
    }

    /// <summary>By the service's clock, while the caller's certificate still holds.</summary>
    [Test]
    public async Task Grant_ThatEnds_IsGoneWithoutAnythingElseHappening()
    {
        var now = TimeProvider.System.GetUtcNow();
        using var own = new CallersUnderTest(CallerRow.Gateway("gateway", new GrantRow("demo", now.AddDays(-80), now.AddDays(5))));
        await using var later = await OtpService.StartAsync(StoreKind.Sqlite, own.Settings);
        using var gateway = own.Connect(later, "gateway");
        later.Clock.SetUtcNow(now.AddDays(5).AddMilliseconds(-1));
        Assert.That((await BypassAsync(gateway, "C-1")).Outcome, Is.EqualTo(Outcome.Bypassed));
        later.Clock.Advance(TimeSpan.FromMilliseconds(1));
        await DeniedAsync("BYPASS_NOT_GRANTED", () => BypassAsync(gateway, "C-1"));
    }

    /// <summary>Counted in the database: two replicas together let through what one would.</summary>
    [Test]
    public async Task Contractor_OftenBypassed_IsRefusedUntilTheHourIsOver()
    {
        var contractor = Calls.NewContractor();
        await using var replica = kind == StoreKind.Sqlite ? null : await OtpService.StartAsync(service.Stores, service.Clock, callers.Settings);
        using var here = callers.Connect(service, "few-an-hour");
        using var there = callers.Connect(replica ?? service, "few-an-hour");
        var answers = await Task.WhenAll(Enumerable.Range(0, 10).Select(i => BypassAsync(i % 2 == 0 ? here : there, contractor)));
        Assert.That(answers.Count(a => a.Outcome == Outcome.Bypassed), Is.EqualTo(2));
        var refused = answers.First(a => a.Outcome == Outcome.BypassRefused);
        Assert.That(refused.RetryAfter.ToTimeSpan(), Is.EqualTo(TimeSpan.FromHours(1)));
        Assert.That((await BypassAsync(here, Calls.NewContractor())).Outcome, Is.EqualTo(Outcome.Bypassed), "another contractor");
        service.Clock.Advance(TimeSpan.FromHours(1));
        Assert.That((await BypassAsync(here, contractor)).Outcome, Is.EqualTo(Outcome.Bypassed));
    }

    [Test]
    public async Task Gateway_BeyondItsMinute_IsExhaustedWithATimeToWait()
    {
        using var gateway = callers.Connect(service, "few-a-minute");
        var before = (await service.TracesAsync()).AuditRecords;
        for (var i = 0; i < 3; i++)
        {
            await BypassAsync(gateway, Calls.NewContractor());
        }

        var refusal = await Refusal.OfAsync(() => BypassAsync(gateway, Calls.NewContractor()));
        Assert.That((refusal.Code, refusal.Info), Is.EqualTo((StatusCode.ResourceExhausted, ("RATE_EXCEEDED", "otpauth.v1"))));
        Assert.That(refusal.RetryDelay, Is.GreaterThan(TimeSpan.Zero).And.LessThanOrEqualTo(TimeSpan.FromMinutes(1)));
        Assert.That((await service.TracesAsync()).AuditRecords, Is.EqualTo(before + 3));
        using var other = callers.Connect(service, "gateway");
        Assert.That((await BypassAsync(other, Calls.NewContractor())).Outcome, Is.EqualTo(Outcome.Bypassed), "another caller");
    }

    /// <summary>Off by default outside the embedded mode, for the local caller too.</summary>
    [Test]
    public async Task LocalCaller_WithoutTheSetting_IsNotBypassed()
    {
        await using var plain = await OtpService.StartAsync(kind, "--OtpAuth:LocalCaller:Bypass=false");
        await DeniedAsync("BYPASS_NOT_GRANTED", async () => await plain.Auth.VerifyAsync("C-1", "", channel: Channel.FeaturePhone));
    }

    [TestCase("", "reason")]
    [TestCase(" ", "reason")]
    [TestCase("a\nb", "reason")]
    public async Task KillSwitch_WithoutAReason_IsInvalid(string reason, string field)
    {
        using var operators = callers.Connect(service, "operator");
        var refusal = await Refusal.OfAsync(async () => await operators.Operations.StopBypassAsync(
            new StopBypassRequest { RequestId = Calls.NewRequestId(), InstitutionId = "demo", Reason = reason }));
        Assert.That((refusal.Code, refusal.Fields.Single()), Is.EqualTo((StatusCode.InvalidArgument, field)));
    }

    private static async Task OptOutAsync(CallerConnection operators, string contractor, bool never) => await operators.Operations.SetBypassOptOutAsync(
        new SetBypassOptOutRequest
        {
            RequestId = Calls.NewRequestId(), InstitutionId = "demo", ContractorId = contractor, NeverBypass = never, Reason = "asked at the counter",
        });

    private static async Task<VerifyResponse> BypassAsync(CallerConnection caller, string contractor, Metadata? metadata = null, string institution = "demo") =>
        await caller.Auth.VerifyAsync(
            new VerifyRequest
            {
                RequestId = Calls.NewRequestId(), InstitutionId = institution, ContractorId = contractor, Channel = Channel.FeaturePhone, Purpose = Purpose.Login,
            },
            metadata);

    private static async Task<bool> IsDeniedAsync(CallerConnection gateway, string contractor)
    {
        try
        {
            await BypassAsync(gateway, contractor);
            return false;
        }
        catch (RpcException denied) when (denied.StatusCode == StatusCode.PermissionDenied)
        {
            return true;
        }
    }

    private static async Task DeniedAsync(string reason, Func<Task> call, StatusCode code = StatusCode.PermissionDenied)
    {
        var refusal = await Refusal.OfAsync(call);
        Assert.That((refusal.Code, refusal.Info), Is.EqualTo((code, (reason, "otpauth.v1"))));
    }
}
