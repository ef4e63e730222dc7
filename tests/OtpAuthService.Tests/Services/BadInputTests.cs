using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Services;

/// <summary>
/// What a caller may send by mistake or on purpose: each is refused with its field named, leaves no trace in the store, and the right
/// request under the same request id goes through afterwards.
/// </summary>
[TestFixture(StoreKind.Sqlite)]
[TestFixture(StoreKind.PostgresRedis)]
public class BadInputTests(StoreKind kind)
{
    private static readonly string[] CustomerRpcs = ["Verify", "Register", "Suspend", "Replace", "Resynchronize", "GetRequirement"];
    private static readonly string[] OperatorRpcs = ["IssueCredential", "GetCredential", "GetBinding", "CheckOtp", "Unlock", "SuspendBinding", "IssueTemporaryOtp", "RaiseFence", "GetFence", "Diagnose"];

    private OtpService service = null!;

    private DateTimeOffset Now => service.Clock.GetUtcNow();

    [OneTimeSetUp]
    public async Task StartAsync() => service = await OtpService.StartAsync(kind);

    [OneTimeTearDown]
    public async Task StopAsync() => await service.DisposeAsync();

    [SetUp]
    public void ForgetLog() => service.Errors.Clear();

    [TearDown]
    public void NoErrorWasLogged() => Assert.That(service.Errors.Errors, Is.Empty);

    [TestCaseSource(nameof(BadFields))]
    public async Task Request_WithABadField_IsRefusedAndLeavesNoTrace(string rpc, BadValue bad)
    {
        var right = await RightRequestAsync(rpc);
        var before = await service.TracesAsync();

        var refusal = await Refusal.OfAsync(() => CallAsync(With(right, bad)));

        using (Assert.EnterMultipleScope())
        {
            Assert.That(refusal.Code, Is.EqualTo(StatusCode.InvalidArgument));
            Assert.That(refusal.Info, Is.EqualTo(("INVALID_REQUEST", "otpauth.v1")));
            Assert.That(refusal.Fields, Is.EqualTo([bad.Field]));
            Assert.That(await service.TracesAsync(), Is.EqualTo(before));
            if (bad.Field.EndsWith("otp", StringComparison.Ordinal) && bad.Value is string { Length: > 0 } otp)
            {
                Assert.That(refusal.Text, Does.Not.Contain(otp));
                Assert.That(service.Errors.All, Does.Not.Contain(otp));
            }
        }

        await ExpectStillRightAsync(right);
    }

    /// <summary>10,000 digits are more than a request may hold: refused before anything is read.</summary>
    [Test]
    public async Task Otp_LargerThanARequest_IsRefusedAndLeavesNoTrace([Values("Verify", "Register", "Suspend")] string rpc)
    {
        var right = await RightRequestAsync(rpc);
        var before = await service.TracesAsync();

        var refusal = await Refusal.OfAsync(() => CallAsync(With(right, new BadValue("otp", "10,000 digits", new string('7', 10_000)))));

        Assert.That(refusal.Code, Is.EqualTo(StatusCode.ResourceExhausted));
        Assert.That(await service.TracesAsync(), Is.EqualTo(before));
        await ExpectStillRightAsync(right);
    }

    /// <summary>Both numbers of digits are an OTP's, but not this credential's: known only once the credential is, and still no guess.</summary>
    [Test]
    public async Task Otp_WithTheDigitsOfAnotherCredential_IsRefusedAndNotCounted(
        [Values("Verify", "Register", "Suspend")] string rpc, [Values(6, 8)] int shown)
    {
        var right = await RightRequestAsync(rpc, digits: shown);
        var before = await service.TracesAsync();
        var other = shown == 6 ? "90817263" : "908172";

        var refusal = await Refusal.OfAsync(() => CallAsync(With(right, new BadValue("otp", "other length", other))));

        using (Assert.EnterMultipleScope())
        {
            Assert.That(refusal.Code, Is.EqualTo(StatusCode.InvalidArgument));
            Assert.That(refusal.Info, Is.EqualTo(("INVALID_REQUEST", "otpauth.v1")));
            Assert.That(refusal.Fields.Single(), Is.EqualTo("otp"));
            Assert.That(refusal.Text, Does.Not.Contain(other));
            Assert.That(await service.TracesAsync(), Is.EqualTo(before));
        }

        await ExpectStillRightAsync(right);
    }

    [Test]
    public async Task Institution_NotTheCallers_IsPermissionDeniedAndLeavesNoTrace([ValueSource(nameof(AllRpcs))] string rpc)
    {
        var right = await RightRequestAsync(rpc);
        var before = await service.TracesAsync();

        var refusal = await Refusal.OfAsync(() => CallAsync(With(right, new BadValue("institution_id", "of others", "yamato"))));

        using (Assert.EnterMultipleScope())
        {
            Assert.That(refusal.Code, Is.EqualTo(StatusCode.PermissionDenied));
            Assert.That(refusal.Info, Is.EqualTo(("INSTITUTION_NOT_CALLERS", "otpauth.v1")));
            Assert.That(await service.TracesAsync(), Is.EqualTo(before));
        }

        await ExpectStillRightAsync(right);
    }

    [Test]
    public async Task Request_WithEveryFieldBad_NamesEachOfThemOnce([ValueSource(nameof(AllRpcs))] string rpc)
    {
        var right = await RightRequestAsync(rpc);
        var before = await service.TracesAsync();
        var wrong = Fields(rpc).Select(field => BadValues.First(bad => IsLike(field, bad.Field)) with { Field = field }).Aggregate(right, With);

        var refusal = await Refusal.OfAsync(() => CallAsync(wrong));

        using (Assert.EnterMultipleScope())
        {
            Assert.That(refusal.Code, Is.EqualTo(StatusCode.InvalidArgument));
            Assert.That(refusal.Fields, Is.EquivalentTo(Fields(rpc)));
            Assert.That(await service.TracesAsync(), Is.EqualTo(before));
        }

        await ExpectStillRightAsync(right);
    }

    /// <summary>One bad value of one field, as a row of the table.</summary>
    public sealed record BadValue(string Field, string Why, object Value)
    {
        public override string ToString() => $"{Field} {Why}";
    }

    /// <summary>The table. The digits are none that a test's contractor, request id or status could hold by chance.</summary>
    private static readonly BadValue[] BadValues =
    [
        new("otp", "empty", ""),
        new("otp", "5 digits", "90817"),
        new("otp", "7 digits", "9081726"),
        new("otp", "4,000 digits", new string('7', 4_000)),
        new("otp", "full-width digits", "９０８１７２"),
        new("otp", "one full-width digit", "90817２"),
        new("otp", "Arabic-Indic digits", "٩٠٨١٧٢"),
        new("otp", "mathematical digits", "𝟗𝟎𝟖"),
        new("otp", "space leading, 6 in all", " 90817"),
        new("otp", "space leading", " 908172"),
        new("otp", "space trailing, 6 in all", "90817 "),
        new("otp", "space trailing", "908172 "),
        new("otp", "space inside, 6 in all", "908 17"),
        new("otp", "spaces inside, 8 in all", "908 172 "),
        new("otp", "no-break space", "90817\u00A0"),
        new("otp", "plus", "+90817"),
        new("otp", "minus", "-90817"),
        new("otp", "hexadecimal", "0x9081"),
        new("otp", "letters", "9O8l72"),
        new("otp", "NUL inside", "90\u0000817"),
        new("otp", "NUL trailing", "908172\u0000"),
        new("otp", "newline trailing, 6 in all", "90817\n"),
        new("otp", "newline trailing", "908172\n"),
        new("otp", "CR LF trailing, 8 in all", "908172\r\n"),

        new("request_id", "empty", ""),
        new("request_id", "15 characters", new string('r', 15)),
        new("request_id", "65 characters", new string('r', 65)),
        new("request_id", "with spaces", "request id with spaces"),
        new("request_id", "Base64 alphabet", "AAAAAAAAAAAAAA+/AAAA=="),
        new("request_id", "non-ASCII", "リクエスト識別子リクエスト識別子"),
        new("request_id", "NUL inside", "request-id\u0000request-id"),
        new("request_id", "newline trailing", "request-id-request-id\n"),

        new("contractor_id", "empty", ""),
        new("contractor_id", "65 characters", new string('c', 65)),
        new("contractor_id", "NUL inside", "C-\u0000001"),
        new("contractor_id", "ESC inside", "C-\u001B[31m"),
        new("contractor_id", "tab inside", "C-\t001"),
        new("contractor_id", "DEL inside", "C-\u007F001"),
        new("contractor_id", "newline trailing", "C-001\n"),
        new("contractor_id", "non-ASCII", "契約者"),
        new("contractor_id", "full-width", "Ｃ００１"),
        new("contractor_id", "right-to-left mark", "C-001\u200F"),
        new("contractor_id", "slash", "../C-001"),
        new("contractor_id", "space", "C 001"),
        new("contractor_id", "quote", "C'--"),

        new("institution_id", "empty", ""),
        new("institution_id", "upper-case", "DEMO"),
        new("institution_id", "capital", "Demo"),
        new("institution_id", "33 characters", new string('i', 33)),
        new("institution_id", "full-width", "ｄｅｍｏ"),
        new("institution_id", "underscore", "de_mo"),
        new("institution_id", "space trailing", "demo "),
        new("institution_id", "newline trailing", "demo\n"),

        new("credential_id", "empty", ""),
        new("credential_id", "3 characters", "ABC"),
        new("credential_id", "3 characters and hyphens", "A-B-C---"),
        new("credential_id", "hyphens and spaces only", "- - - - - -"),
        new("credential_id", "41 characters", new string('A', 41)),
        new("credential_id", "a spelling of 81 characters", "ABCD" + new string('-', 77)),
        new("credential_id", "underscore", "VSST_12345678"),
        new("credential_id", "punctuation", "VSST!2345678"),
        new("credential_id", "full-width", "ＶＳＳＴ１２３４５６７８"),
        new("credential_id", "Kelvin sign, which some casings make a K", "VSS\u212A12345678"),
        new("credential_id", "NUL inside", "VSST\u000012345678"),
        new("credential_id", "newline trailing", "VSST12345678\n"),

        new("channel", "not set", Channel.Unspecified),
        new("channel", "unknown", (Channel)99),
        new("channel", "negative", (Channel)(-1)),

        new("purpose", "not set", Purpose.Unspecified),
        new("purpose", "unknown", (Purpose)99),
        new("purpose", "negative", (Purpose)(-1)),

        new("digits", "7", 7),
        new("digits", "negative", -6),
        new("period_seconds", "45", 45),
        new("period_seconds", "negative", -30),
        new("algorithm", "unknown", (Algorithm)99),
        new("until", "before 1970", new Timestamp { Seconds = -1 }),
        new("until", "after 9999", new Timestamp { Seconds = 253_402_300_800 }),
        new("until", "a second of more than a thousand million nanoseconds", new Timestamp { Nanos = 1_000_000_000 }),
        new("until", "more than an hour ahead", new Timestamp { Seconds = 253_402_300_799 }),
        new("operator_id", "65 characters", new string('a', 65)),
        new("operator_id", "with a space", "h sato"),
        new("operator_id", "with a line break", "h.sato\n"),
        new("operator_id", "full-width", "ｓａｔｏ"),

        new("reason", "empty", ""),
        new("reason", "201 characters", new string('x', 201)),
        new("reason", "spaces only", "   "),
        new("reason", "with a line break", "a court\norder"),
        new("reason", "with an escape", "\u001B[2Jnothing"),
        new("uses", "negative", -1),
        new("uses", "6", 6),
        new("valid_for", "negative", new Duration { Seconds = -600 }),
        new("valid_for", "too short", new Duration { Seconds = 599 }),
        new("valid_for", "too long", new Duration { Seconds = 259_201 }),
        new("valid_for", "more than .NET can hold", new Duration { Seconds = 315_576_000_000 }),
        new("valid_for", "with nanoseconds that are none", new Duration { Seconds = 3_600, Nanos = -1 }),
    ];

    private static IEnumerable<string> AllRpcs => [.. CustomerRpcs, .. OperatorRpcs];

    private static IEnumerable<object[]> BadFields =>
        from rpc in AllRpcs from name in Fields(rpc) from bad in BadValues where IsLike(name, bad.Field) select new object[] { rpc, bad with { Field = name } };

    /// <summary>"new_otp" is an OTP, and has to refuse what "otp" refuses.</summary>
    private static bool IsLike(string field, string ruled) =>
        field == ruled || (ruled is "otp" or "credential_id" && field.EndsWith($"_{ruled}", StringComparison.Ordinal));

    private static List<string> Fields(string rpc) =>
        [.. OtpAuth.Descriptor.Methods.Concat(OtpOperations.Descriptor.Methods)
            .Single(method => method.Name == rpc).InputType.Fields.InFieldNumberOrder().Select(field => field.Name)];

    private static IMessage With(IMessage request, BadValue bad)
    {
        var copy = request.Descriptor.Parser.ParseFrom(request.ToByteArray());
        copy.Descriptor.FindFieldByName(bad.Field).Accessor.SetValue(copy, bad.Value);
        return copy;
    }

    /// <summary>A request that goes through, of a contractor who has one wrong OTP on the count already: a bad input must not clear it either.</summary>
    private async Task<IMessage> RightRequestAsync(string rpc, int digits = 6)
    {
        if (rpc == "Register")
        {
            var issued = await service.Operations.IssueAsync(digits);
            return Customer(rpc, Calls.NewContractor(), issued);
        }

        var (contractor, token) = await service.RegisteredAsync(digits: digits);
        var missed = await service.Auth.VerifyAsync(contractor, token.WrongAt(Now));
        Assert.That(missed.Outcome, Is.EqualTo(Outcome.Mismatch), "a wrong OTP for a test");
        if (rpc == "Replace")
        {
            var successor = await service.Operations.IssueAsync(digits);
            return new ReplaceRequest
            {
                RequestId = Calls.NewRequestId(),
                InstitutionId = "demo",
                ContractorId = contractor,
                Channel = Channel.PcBrowser,
                CurrentOtp = token.At(Now),
                NewCredentialId = successor.CredentialId,
                NewOtp = successor.At(Now),
            };
        }

        return Customer(rpc, contractor, token);
    }

    private IMessage Customer(string rpc, string contractor, SoftToken token)
    {
        var (id, otp) = (Calls.NewRequestId(), token.At(Now));
        const string Institution = "demo";
        const Channel From = Channel.PcBrowser;
        return rpc switch
        {
            "Verify" => new VerifyRequest
            {
                RequestId = id, InstitutionId = Institution, ContractorId = contractor, Channel = From, Purpose = Purpose.Transfer, Otp = otp,
            },
            "Register" => new RegisterRequest
            {
                RequestId = id, InstitutionId = Institution, ContractorId = contractor, Channel = From, CredentialId = token.CredentialId, Otp = otp,
            },
            "Suspend" => new SuspendRequest
            {
                RequestId = id, InstitutionId = Institution, ContractorId = contractor, Channel = From, Otp = otp,
            },
            "Resynchronize" => new ResynchronizeRequest
            {
                RequestId = id, InstitutionId = Institution, ContractorId = contractor, Channel = From, FirstOtp = otp, SecondOtp = token.At(Now, 1),
            },
            "CheckOtp" => new CheckOtpRequest { RequestId = id, InstitutionId = Institution, ContractorId = contractor, Otp = otp, Reason = "a test" },
            "Unlock" => new UnlockRequest { RequestId = id, InstitutionId = Institution, ContractorId = contractor, Reason = "a test" },
            "SuspendBinding" => new SuspendBindingRequest { RequestId = id, InstitutionId = Institution, ContractorId = contractor, Reason = "a test" },
            "IssueTemporaryOtp" => new IssueTemporaryOtpRequest { RequestId = id, InstitutionId = Institution, ContractorId = contractor, Reason = "a test" },
            "GetRequirement" => new GetRequirementRequest { InstitutionId = Institution, ContractorId = contractor, Channel = From },
            "IssueCredential" => new IssueCredentialRequest { RequestId = id, InstitutionId = Institution },
            "GetCredential" => new GetCredentialRequest { InstitutionId = Institution, CredentialId = token.CredentialId },
            // Long ago: what others here do is not to be refused for it.
            "RaiseFence" => new RaiseFenceRequest { RequestId = id, InstitutionId = Institution, Until = new Timestamp(), Reason = "a test" },
            "GetFence" => new GetFenceRequest { InstitutionId = Institution },
            "GetBinding" => new GetBindingRequest { InstitutionId = Institution, ContractorId = contractor },
            "Diagnose" => new DiagnoseRequest { InstitutionId = Institution },
            _ => throw new ArgumentOutOfRangeException(nameof(rpc), rpc, "Not an RPC of the table."),
        };
    }

    private async Task<IMessage> CallAsync(IMessage request) => request switch
    {
        VerifyRequest verify => await service.Auth.VerifyAsync(verify),
        RegisterRequest register => await service.Auth.RegisterAsync(register),
        SuspendRequest suspend => await service.Auth.SuspendAsync(suspend),
        ReplaceRequest replace => await service.Auth.ReplaceAsync(replace),
        ResynchronizeRequest resynchronize => await service.Auth.ResynchronizeAsync(resynchronize),
        GetRequirementRequest require => await service.Auth.GetRequirementAsync(require),
        CheckOtpRequest check => await service.Operations.CheckOtpAsync(check),
        UnlockRequest unlock => await service.Operations.UnlockAsync(unlock),
        SuspendBindingRequest stop => await service.Operations.SuspendBindingAsync(stop),
        IssueTemporaryOtpRequest temporary => await service.Operations.IssueTemporaryOtpAsync(temporary),
        IssueCredentialRequest issue => await service.Operations.IssueCredentialAsync(issue),
        GetCredentialRequest get => await service.Operations.GetCredentialAsync(get),
        RaiseFenceRequest raise => await service.Operations.RaiseFenceAsync(raise),
        GetFenceRequest get => await service.Operations.GetFenceAsync(get),
        GetBindingRequest get => await service.Operations.GetBindingAsync(get),
        DiagnoseRequest diagnose => await service.Operations.DiagnoseAsync(diagnose),
        _ => throw new ArgumentOutOfRangeException(nameof(request), request.Descriptor.Name, "Not a request of the table."),
    };

    /// <summary>The count is as it was, and the right request is decided for the first time: neither its id nor its OTP was used up.</summary>
    private async Task ExpectStillRightAsync(IMessage request)
    {
        if (request.Descriptor.FindFieldByName("contractor_id") is { } field && request is not RegisterRequest)
        {
            var binding = await service.Operations.BindingAsync((string)field.Accessor.GetValue(request));
            Assert.That(binding.ConsecutiveFailures, Is.EqualTo(1));
        }

        var answer = await CallAsync(request);
        if (answer is IOtpAnswer decided)
        {
            Assert.That((decided.Outcome, decided.Decision, decided.Repeated), Is.EqualTo((Outcome.Accepted, Decision.Allow, false)));
        }
    }
}
