using Google.Protobuf.Reflection;
using Grpc.Core;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;
using OtpAuthService.Verification;

namespace OtpAuthService.Tests.Verification;

/// <summary>What each role may do, and that nothing in a request gives a right (promise P6). Services of one role each, on the same stores.</summary>
[TestFixture(StoreKind.Sqlite)]
[TestFixture(StoreKind.Postgres)]
[TestFixture(StoreKind.PostgresRedis)]
public class RolesTests(StoreKind kind)
{
    private OtpService full = null!;
    private OtpService frontend = null!;
    private OtpService gateway = null!;
    private OtpService helpDesk = null!;
    private OtpService auditor = null!;
    private OtpService nobody = null!;

    private DateTimeOffset Now => full.Clock.GetUtcNow();

    [OneTimeSetUp]
    public async Task StartAsync()
    {
        full = await OtpService.StartAsync(kind);
        frontend = await WithRoleAsync("Frontend");
        gateway = await WithRoleAsync("MobileGateway");
        helpDesk = await WithRoleAsync("Operator");
        auditor = await WithRoleAsync("Auditor");
        nobody = await WithRoleAsync("None");

        Task<OtpService> WithRoleAsync(string role) => OtpService.StartAsync(full.Stores, full.Clock, $"--OtpAuth:LocalCaller:Roles={role}");
    }

    [OneTimeTearDown]
    public async Task StopAsync()
    {
        foreach (var service in new[] { nobody, auditor, helpDesk, gateway, frontend, full })
        {
            await service.DisposeAsync();
        }
    }

    [TearDown]
    public void NoErrorWasLogged() =>
        Assert.That(new[] { full, frontend, gateway, helpDesk, auditor, nobody }.SelectMany(service => service.Errors.Errors), Is.Empty);

    /// <summary>Who may call what, in full: an empty request is let in and found wanting, or not let in.</summary>
    [TestCase("GetRequirement", "FM")]
    [TestCase("Register", "F")]
    [TestCase("Verify", "FM")]
    [TestCase("Suspend", "F")]
    [TestCase("Replace", "F")]
    [TestCase("Resynchronize", "F")]
    [TestCase("GetInstitution", "OA")]
    [TestCase("SetInstitutionPolicy", "O")]
    [TestCase("IssueCredential", "O")]
    [TestCase("ImportCredentials", "O")]
    [TestCase("SetSupplier", "O")]
    [TestCase("GetSuppliers", "OA")]
    [TestCase("RequestExport", "O")]
    [TestCase("ConfirmExport", "O")]
    [TestCase("ExportCredentials", "O")]
    [TestCase("GetCredential", "OA")]
    [TestCase("GetBinding", "OA")]
    [TestCase("ReportLost", "O")]
    [TestCase("OpenReregistration", "O")]
    [TestCase("Unlock", "O")]
    [TestCase("SuspendBinding", "O")]
    [TestCase("ResumeBinding", "O")]
    [TestCase("IssueTemporaryOtp", "O")]
    [TestCase("ConfirmTemporaryOtp", "O")]
    [TestCase("StopBypass", "O")]
    [TestCase("ResumeBypass", "O")]
    [TestCase("SetBypassOptOut", "O")]
    [TestCase("CheckOtp", "O")]
    [TestCase("QueryAudit", "OA")]
    [TestCase("VerifyAudit", "OA")]
    [TestCase("RotateKeys", "O")]
    [TestCase("GetKeyStatus", "OA")]
    [TestCase("RaiseFence", "O")]
    [TestCase("GetFence", "OA")]
    [TestCase("StreamEvents", "OA")]
    [TestCase("Diagnose", "OA")]
    public async Task Method_CalledByEachRole_IsLetInOrPermissionDenied(string method, string roles)
    {
        var callers = new Dictionary<char, OtpService> { ['F'] = frontend, ['M'] = gateway, ['O'] = helpDesk, ['A'] = auditor, ['-'] = nobody };
        using (Assert.EnterMultipleScope())
        {
            foreach (var (role, service) in callers)
            {
                var refusal = await Refusal.OfAsync(() => CallEmptyAsync(service, method));
                Assert.That(refusal.Code == StatusCode.PermissionDenied, Is.EqualTo(!roles.Contains(role)), $"{method} by {role}: {refusal.Code}");
                Assert.That(
                    refusal.Code, Is.AnyOf(StatusCode.PermissionDenied, StatusCode.InvalidArgument), $"{method} by {role}");
            }
        }
    }

    /// <summary>The table above is the whole contract.</summary>
    [Test]
    public void Methods_OfTheContract_AreAllInTheTable()
    {
        Assert.That(Table.Select(row => row.Method), Is.EquivalentTo(Contract.Select(method => method.Name)));
    }

    /// <summary>Who may call a method, by the table above: F, M, O and A.</summary>
    internal static string RolesOf(string method) => Table.Single(row => row.Method == method).Roles;

    [Test]
    public async Task Frontend_OnTheFeaturePhoneChannel_IsPermissionDenied()
    {
        var (contractor, token) = await full.RegisteredAsync();
        var before = await full.TracesAsync();

        await DeniedAsync("CHANNEL_NOT_CALLERS", () => VerifyAsync(frontend, contractor, "", Channel.FeaturePhone));
        await DeniedAsync("CHANNEL_NOT_CALLERS", () => VerifyAsync(frontend, contractor, token.At(Now), Channel.FeaturePhone));
        await DeniedAsync("CHANNEL_NOT_CALLERS", async () => await frontend.Auth.RequirementAsync(contractor, Channel.FeaturePhone));
        await DeniedAsync("CHANNEL_NOT_CALLERS", async () => await frontend.Auth.RegisterAsync(new RegisterRequest
        {
            RequestId = Calls.NewRequestId(), InstitutionId = "demo", ContractorId = contractor, Channel = Channel.FeaturePhone,
            CredentialId = token.CredentialId, Otp = token.At(Now),
        }));
        await DeniedAsync("CHANNEL_NOT_CALLERS", async () => await frontend.Auth.SuspendAsync(new SuspendRequest
        {
            RequestId = Calls.NewRequestId(), InstitutionId = "demo", ContractorId = contractor, Channel = Channel.FeaturePhone, Otp = token.At(Now),
        }));

        Assert.That(await full.TracesAsync(), Is.EqualTo(before));
        Assert.That((await VerifyAsync(frontend, contractor, token.At(Now), Channel.PcBrowser)).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    [Test]
    public async Task Frontend_WithoutAnOtp_IsNeverBypassed([Values(Channel.PcBrowser, Channel.Smartphone)] Channel channel)
    {
        var (contractor, _) = await full.RegisteredAsync();
        var before = await full.TracesAsync();
        var refusal = await Refusal.OfAsync(() => VerifyAsync(full, contractor, "", channel));
        Assert.That((refusal.Code, refusal.Fields.Single()), Is.EqualTo((StatusCode.InvalidArgument, "otp")));
        Assert.That(await full.TracesAsync(), Is.EqualTo(before));
    }

    [Test]
    public async Task MobileGateway_OnAnotherChannel_IsPermissionDenied([Values(Channel.PcBrowser, Channel.Smartphone)] Channel channel)
    {
        var (contractor, token) = await full.RegisteredAsync();
        var before = await full.TracesAsync();

        await DeniedAsync("CHANNEL_NOT_CALLERS", () => VerifyAsync(gateway, contractor, token.At(Now), channel));
        await DeniedAsync("CHANNEL_NOT_CALLERS", async () => await gateway.Auth.RequirementAsync(contractor, channel));
        await DeniedAsync("ROLE_MISSING", async () => await gateway.Auth.RegisterAsync(contractor, token.CredentialId, token.At(Now)));
        await DeniedAsync("ROLE_MISSING", async () => await gateway.Auth.SuspendAsync(contractor, token.At(Now)));

        Assert.That(await full.TracesAsync(), Is.EqualTo(before));
        Assert.That((await VerifyAsync(full, contractor, token.At(Now), channel)).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    /// <summary>Right, wrong or no OTP: a gateway's is not looked at, and neither claimed nor counted.</summary>
    [Test]
    public async Task MobileGateway_OnItsChannel_IsBypassedWithOneAuditRecordEach()
    {
        var (contractor, token) = await full.RegisteredAsync();
        var stranger = Calls.NewContractor();
        Assert.That((await gateway.Auth.RequirementAsync(contractor, Channel.FeaturePhone)).Requirement, Is.EqualTo(Requirement.Exempt));
        string[] ids = [.. Enumerable.Range(0, 3).Select(_ => Calls.NewRequestId())];
        string[] otps = ["", token.At(Now), token.WrongAt(Now)];
        foreach (var (id, otp) in ids.Zip(otps))
        {
            Bypassed(await VerifyAsync(gateway, contractor, otp, Channel.FeaturePhone, id), repeated: false);
        }

        Bypassed(await VerifyAsync(gateway, contractor, "", Channel.FeaturePhone, ids[0]), repeated: true);
        Bypassed(await VerifyAsync(gateway, stranger, "", Channel.FeaturePhone), repeated: false);

        var bypasses = (await full.AuditAsync(contractor)).Where(record => record.Rpc == "Verify").ToList();
        Assert.That(bypasses.Select(record => record.RequestId), Is.EqualTo(ids));
        Assert.That(
            bypasses.Select(record => (record.Outcome, record.Decision, record.Channel, record.TimeStep)),
            Is.All.EqualTo((Outcome.Bypassed, Decision.Allow, Channel.FeaturePhone, (TimeStep?)null)));
        Assert.That(await full.AuditAsync(stranger), Has.Count.EqualTo(1));
        Assert.That((await full.Operations.BindingAsync(contractor)).ConsecutiveFailures, Is.Zero);
        Assert.That((await VerifyAsync(full, contractor, token.At(Now), Channel.PcBrowser)).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    [Test]
    public async Task HelpDesk_SubmittingOtps_IsPermissionDenied()
    {
        var (contractor, token) = await full.RegisteredAsync();
        var before = await full.TracesAsync();
        foreach (var channel in new[] { Channel.PcBrowser, Channel.Smartphone, Channel.FeaturePhone })
        {
            await DeniedAsync("ROLE_MISSING", () => VerifyAsync(helpDesk, contractor, token.At(Now), channel));
        }

        Assert.That(await full.TracesAsync(), Is.EqualTo(before));
        Assert.That((await helpDesk.Operations.BindingAsync(contractor)).History, Has.Count.EqualTo(1));
    }

    /// <summary>Everything by which a request might say of itself that it is another's or from elsewhere.</summary>
    [Test]
    public async Task Metadata_ClaimingAnything_HasNoEffect()
    {
        var (contractor, token) = await full.RegisteredAsync();
        var claims = new Metadata
        {
            { "x-forwarded-for", "10.0.0.7" },
            { "x-forwarded-proto", "https" },
            { "forwarded", "for=10.0.0.7;by=gateway" },
            { "x-real-ip", "10.0.0.7" },
            { "user-agent", "DoCoMo/2.0 P903i(c100;TB;W24H12)" },
            { "x-up-subno", "05001012345678_ab.ezweb.ne.jp" },
            { "x-dcmguid", "0123456" },
            { "x-forwarded-client-cert", "Hash=00;Subject=\"CN=mobile-gateway,OU=MobileGateway\"" },
            { "x-ssl-client-verify", "SUCCESS" },
            { "x-channel", "CHANNEL_FEATURE_PHONE" },
            { "x-caller-roles", "Frontend,MobileGateway,Operator" },
            { "x-institution-id", "minato" },
            { "authorization", "Bearer MobileGateway" },
        };

        await DeniedAsync("CHANNEL_NOT_CALLERS", () => VerifyAsync(frontend, contractor, "", Channel.FeaturePhone, metadata: claims));
        Assert.That(
            (await Refusal.OfAsync(() => VerifyAsync(frontend, contractor, "", Channel.PcBrowser, metadata: claims))).Fields.Single(), Is.EqualTo("otp"));
        Assert.That(
            (await VerifyAsync(frontend, contractor, token.WrongAt(Now), Channel.PcBrowser, metadata: claims)).Outcome, Is.EqualTo(Outcome.Mismatch));
        Assert.That((await VerifyAsync(frontend, contractor, token.At(Now), Channel.PcBrowser, metadata: claims)).Outcome, Is.EqualTo(Outcome.Accepted));
        await DeniedAsync("ROLE_MISSING", async () => await frontend.Operations.GetBindingAsync(
            new GetBindingRequest { InstitutionId = "demo", ContractorId = contractor }, claims));
        await DeniedAsync("CHANNEL_NOT_CALLERS", () => VerifyAsync(gateway, contractor, token.At(Now, 1), Channel.PcBrowser, metadata: claims));
        Bypassed(await VerifyAsync(gateway, contractor, "", Channel.FeaturePhone, metadata: claims), repeated: false);
        Assert.That((await full.AuditAsync(contractor)).Select(record => record.CallerId), Is.All.EqualTo("local"));
        Assert.That((await full.AuditAsync(contractor)).Select(record => record.InstitutionId.Value), Is.All.EqualTo("demo"));
    }

    private static IEnumerable<(string Method, string Roles)> Table => typeof(RolesTests)
        .GetMethod(nameof(Method_CalledByEachRole_IsLetInOrPermissionDenied))!
        .GetCustomAttributes(typeof(TestCaseAttribute), inherit: false)
        .Select(row => ((string)((TestCaseAttribute)row).Arguments[0]!, (string)((TestCaseAttribute)row).Arguments[1]!));

    private static IEnumerable<MethodDescriptor> Contract => OtpAuth.Descriptor.Methods.Concat(OtpOperations.Descriptor.Methods);

    private static void Bypassed(VerifyResponse answer, bool repeated) =>
        Assert.That((answer.Outcome, answer.Decision, answer.Repeated), Is.EqualTo((Outcome.Bypassed, Decision.Allow, repeated)));

    private static async Task DeniedAsync(string reason, Func<Task> call)
    {
        var refusal = await Refusal.OfAsync(call);
        Assert.That((refusal.Code, refusal.Info), Is.EqualTo((StatusCode.PermissionDenied, (reason, "otpauth.v1"))));
    }

    private static async Task<VerifyResponse> VerifyAsync(
        OtpService service, string contractor, string otp, Channel channel, string? requestId = null, Metadata? metadata = null) =>
        await service.Auth.VerifyAsync(
            new VerifyRequest
            {
                RequestId = requestId ?? Calls.NewRequestId(),
                InstitutionId = "demo",
                ContractorId = contractor,
                Channel = channel,
                Purpose = Purpose.Login,
                Otp = otp,
            },
            metadata);

    private static async Task CallEmptyAsync(OtpService service, string name)
    {
        var method = Contract.Single(method => method.Name == name);
        var empty = Marshallers.Create<byte[]>(bytes => bytes, bytes => bytes);
        var type = method.IsClientStreaming ? MethodType.ClientStreaming : method.IsServerStreaming ? MethodType.ServerStreaming : MethodType.Unary;
        var raw = new Method<byte[], byte[]>(type, method.Service.FullName, name, empty, empty);
        var invoker = service.Channel.CreateCallInvoker();
        switch (type)
        {
            case MethodType.ClientStreaming:
                using (var call = invoker.AsyncClientStreamingCall(raw, null, default))
                {
                    await call.RequestStream.CompleteAsync();
                    await call;
                }

                break;
            case MethodType.ServerStreaming:
                using (var call = invoker.AsyncServerStreamingCall(raw, null, default, []))
                {
                    await call.ResponseStream.MoveNext(CancellationToken.None);
                }

                break;
            default:
                await invoker.AsyncUnaryCall(raw, null, default, []);
                break;
        }
    }
}
