using Google.Protobuf;
using Google.Protobuf.Reflection;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Callers;

/// <summary>
/// Every RPC by a caller of every role and of every institution, over mutual TLS: let in or refused as designed, and a caller of one institution sees
/// and changes nothing of another.
/// </summary>
[TestFixture]
public class CallerRightsTests
{
    private static readonly Dictionary<char, string> Roles = new() { ['F'] = "Frontend", ['M'] = "MobileGateway", ['O'] = "Operator", ['A'] = "Auditor" };
    private static readonly string[] Institutions = ["demo", "minato"];

    private CallersUnderTest callers = null!;
    private OtpService service = null!;

    [OneTimeSetUp]
    public async Task StartAsync()
    {
        callers = new CallersUnderTest(
        [
            .. from role in Roles from institution in Institutions select new CallerRow($"{role.Value}-{institution}", [role.Value], institution),
        ]);
        service = await OtpService.StartAsync(StoreKind.Sqlite, callers.Settings);
    }

    [OneTimeTearDown]
    public async Task StopAsync()
    {
        await service.DisposeAsync();
        callers.Dispose();
    }

    private static IEnumerable<TestCaseData> Contract() =>
        from method in OtpAuth.Descriptor.Methods.Concat(OtpOperations.Descriptor.Methods)
        from role in Roles.Keys
        from caller in Institutions
        from asked in Institutions
        select new TestCaseData(method.Name, role, caller, asked);

    /// <summary>The rights as RolesTests has them, and on top of them the institution.</summary>
    [TestCaseSource(nameof(Contract))]
    public async Task Method_OfACallerForAnInstitution_IsLetInOrRefused(string name, char role, string callers, string asked)
    {
        using var caller = this.callers.Connect(service, $"{Roles[role]}-{callers}");
        var method = OtpAuth.Descriptor.FindMethodByName(name) ?? OtpOperations.Descriptor.FindMethodByName(name);
        var before = await service.TracesAsync();
        var (code, reason) = await CallAsync(caller, method, RequestFor(method, asked, role == 'M' ? Channel.FeaturePhone : Channel.PcBrowser));

        if (!Verification.RolesTests.RolesOf(name).Contains(role))
        {
            Assert.That((code, reason), Is.EqualTo((StatusCode.PermissionDenied, "ROLE_MISSING")));
        }
        else if (callers != asked)
        {
            Assert.That((code, reason), Is.EqualTo((StatusCode.PermissionDenied, "INSTITUTION_NOT_CALLERS")));
        }
        else
        {
            Assert.That(reason, Is.Not.EqualTo("ROLE_MISSING").And.Not.EqualTo("INSTITUTION_NOT_CALLERS").And.Not.EqualTo("CHANNEL_NOT_CALLERS"));
        }

        if (code is StatusCode.PermissionDenied)
        {
            Assert.That(await service.TracesAsync(), Is.EqualTo(before), "nothing was decided");
            Assert.That(service.Errors.All, Does.Contain($"Security event {reason}, caller '{Roles[role]}-{callers}'"));
        }
    }

    [Test]
    public async Task Operator_OfOneInstitution_SeesNothingOfAnother()
    {
        var (contractor, token) = await service.RegisteredAsync("demo");
        using var demo = callers.Connect(service, "Operator-demo");
        using var minato = callers.Connect(service, "Operator-minato");

        var own = await demo.Operations.GetCredentialAsync(new GetCredentialRequest { InstitutionId = "demo", CredentialId = token.CredentialId });
        var foreign = await minato.Operations.GetCredentialAsync(new GetCredentialRequest { InstitutionId = "minato", CredentialId = token.CredentialId });
        Assert.That((own.ContractorId, foreign.ContractorId), Is.EqualTo((contractor, "")));
        var refusal = await Refusal.OfAsync(async () => await minato.Operations.BindingAsync(contractor, "minato"));
        Assert.That(refusal.Code, Is.EqualTo(StatusCode.NotFound));
    }

    /// <summary>One token at two banks: its OTPs are one supply, guesses are each bank's own.</summary>
    [Test]
    public async Task Credential_AtTwoInstitutions_SharesItsTimeStepsAndNotItsFailures()
    {
        var (atDemo, token) = await service.RegisteredAsync("demo");
        var now = service.Clock.GetUtcNow();
        using var demo = callers.Connect(service, "Frontend-demo");
        using var minato = callers.Connect(service, "Frontend-minato");
        var atMinato = Calls.NewContractor();
        Assert.That((await minato.Auth.RegisterAsync(atMinato, token.CredentialId, token.At(now), institution: "minato")).Outcome, Is.EqualTo(Outcome.Accepted));
        Assert.That((await demo.Auth.VerifyAsync(atDemo, token.At(now))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));

        for (var i = 0; i < 5; i++)
        {
            await demo.Auth.VerifyAsync(atDemo, token.WrongAt(now));
        }

        Assert.That((await demo.Auth.VerifyAsync(atDemo, token.At(now, 1))).Outcome, Is.EqualTo(Outcome.LockedOut));
        Assert.That((await minato.Auth.VerifyAsync(atMinato, token.At(now, 1), institution: "minato")).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    /// <summary>Request ids are each caller's own: another one's answer cannot be fetched with them.</summary>
    [Test]
    public async Task RequestId_OfAnotherCaller_IsAnotherSubmission()
    {
        var (contractor, token) = await service.RegisteredAsync("demo");
        var id = Calls.NewRequestId();
        var otp = token.At(service.Clock.GetUtcNow());
        using var demo = callers.Connect(service, "Frontend-demo");
        Assert.That((await demo.Auth.VerifyAsync(contractor, otp, id)).Outcome, Is.EqualTo(Outcome.Accepted));
        var local = await service.Auth.VerifyAsync(contractor, otp, id);
        Assert.That((local.Outcome, local.Repeated), Is.EqualTo((Outcome.AlreadyUsed, false)));
    }

    /// <summary>A request with every field of its message that all have: well-formed enough to be authorised, whatever comes then.</summary>
    private static IMessage RequestFor(MethodDescriptor method, string institution, Channel channel)
    {
        var request = (IMessage)Activator.CreateInstance(method.InputType.ClrType)!;
        if (request is ImportCredentialsRequest import)
        {
            import.Header = new ImportCredentialsHeader { RequestId = Calls.NewRequestId(), InstitutionId = institution, Format = ImportFormat.Pskc };
            return import;
        }

        if (request is RaiseFenceRequest fence)
        {
            // Long ago: what others here do is not to be refused for it.
            fence.Until = new Timestamp();
        }

        Set("request_id", Calls.NewRequestId());
        Set("institution_id", institution);
        Set("contractor_id", "C-RIGHTS");
        Set("channel", channel);
        Set("purpose", Purpose.Login);
        Set("credential_id", "VSST00000000");
        foreach (var otp in new[] { "otp", "current_otp", "new_otp", "first_otp", "second_otp" })
        {
            Set(otp, "000000");
        }

        Set("new_credential_id", "VSST00000000");
        Set("expires_at", new Timestamp());
        Set("uses", 1);
        Set("until_now", true);
        Set("scope", ExportScope.Registered);
        Set("export_id", Guid.NewGuid().ToString("N"));
        Set("password", ByteString.CopyFromUtf8("twelve bytes"));
        Set("supplier", method.Name == "SetSupplier" ? new Supplier { Name = "a supplier" } : "");
        Set("reason", "a test");
        Set("display_name", "A bank");
        Set("kind", LossKind.Lost);
        Set("policy", new InstitutionPolicy());
        return request;

        void Set(string field, object value) => method.InputType.FindFieldByName(field)?.Accessor.SetValue(request, value);
    }

    private static async Task<(StatusCode Code, string? Reason)> CallAsync(CallerConnection caller, MethodDescriptor method, IMessage request)
    {
        var bytes = Marshallers.Create<byte[]>(b => b, b => b);
        var type = method.IsClientStreaming ? MethodType.ClientStreaming : method.IsServerStreaming ? MethodType.ServerStreaming : MethodType.Unary;
        var raw = new Method<byte[], byte[]>(type, method.Service.FullName, method.Name, bytes, bytes);
        var invoker = caller.Channel.CreateCallInvoker();
        try
        {
            switch (type)
            {
                case MethodType.ClientStreaming:
                    using (var call = invoker.AsyncClientStreamingCall(raw, null, default))
                    {
                        await call.RequestStream.WriteAsync(request.ToByteArray());
                        await call.RequestStream.CompleteAsync();
                        await call;
                    }

                    break;
                case MethodType.ServerStreaming:
                    using (var call = invoker.AsyncServerStreamingCall(raw, null, default, request.ToByteArray()))
                    {
                        await call.ResponseStream.MoveNext(CancellationToken.None);
                    }

                    break;
                default:
                    await invoker.AsyncUnaryCall(raw, null, default, request.ToByteArray());
                    break;
            }

            return (StatusCode.OK, null);
        }
        catch (RpcException refused)
        {
            return (refused.StatusCode, refused.GetRpcStatus()?.GetDetail<Google.Rpc.ErrorInfo>()?.Reason);
        }
    }
}
