using System.Collections.Frozen;
using Google.Protobuf;
using Google.Protobuf.Reflection;
using Grpc.Core;
using OtpAuthService.Callers;
using OtpAuthService.Institutions;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Services;

/// <summary>
/// Messages that no generated client sends, as bytes. One store set: they end before any store is asked, and the few that do not are
/// those of other tests.
/// </summary>
[TestFixture]
public class MalformedMessageTests
{
    private const int MaxRequestBytes = 4 * 1024;
    private const int MaxOperationsBytes = 64 * 1024;

    private static readonly Marshaller<byte[]> Bytes = Marshallers.Create<byte[]>(bytes => bytes, bytes => bytes);

    private OtpService service = null!;

    [OneTimeSetUp]
    public async Task StartAsync() => service = await OtpService.StartAsync(StoreKind.Sqlite);

    [OneTimeTearDown]
    public async Task StopAsync() => await service.DisposeAsync();

    /// <summary>A parser stops at these whatever the message is.</summary>
    [Test]
    public async Task Message_NotProtobuf_IsInvalidArgument(
        [ValueSource(nameof(AllMethods))] RpcMethod method, [ValueSource(nameof(Unreadable))] Payload payload)
    {
        var refusal = await Refusal.OfAsync(() => SendAsync(method, payload.Bytes));
        Assert.That((refusal.Code, refusal.Info), Is.EqualTo((StatusCode.InvalidArgument, ("MALFORMED_MESSAGE", "otpauth.v1"))));
    }

    [Test]
    public async Task Message_WithInvalidUtf8_IsInvalidArgument([ValueSource(nameof(AllMethods))] RpcMethod method)
    {
        // An over-long encoding of "/", a lone surrogate, a cut-off sequence, a byte that UTF-8 never has; also inside the header of an import.
        foreach (var text in new byte[][] { [0xC0, 0xAF], [0xED, 0xA0, 0x80], [0xE3, 0x81], [0x61, 0xFF] })
        {
            var field = Field(1, text);
            var refusal = await Refusal.OfAsync(() => SendAsync(method, method.IsImport ? Field(1, field) : field));
            Assert.That((refusal.Code, refusal.Info), Is.EqualTo((StatusCode.InvalidArgument, ("MALFORMED_MESSAGE", "otpauth.v1"))));
        }
    }

    /// <summary>Protobuf takes a known number with another wire type for an unknown field: what was to be in it is missing, which is named.</summary>
    [Test]
    public async Task Message_WithAnotherWireType_IsInvalidArgument([ValueSource(nameof(AllMethods))] RpcMethod method)
    {
        foreach (var payload in new byte[][] { [0x08, 0x01], [0x09, 1, 2, 3, 4, 5, 6, 7, 8], [0x0D, 1, 2, 3, 4], [0x0B, 0x0C] })
        {
            var refusal = await Refusal.OfAsync(() => SendAsync(method, payload));
            Assert.That((refusal.Code, refusal.Info), Is.EqualTo((StatusCode.InvalidArgument, ("INVALID_REQUEST", "otpauth.v1"))));
            Assert.That(refusal.Fields, Does.Contain(method.FirstField));
        }
    }

    [Test]
    public async Task Message_Empty_NamesEveryFieldThatMustBeSet([ValueSource(nameof(AllMethods))] RpcMethod method)
    {
        var refusal = await Refusal.OfAsync(() => SendAsync(method, []));
        string[] optional = ["digits", "period_seconds", "algorithm", "chunk", "expected_version", "never_bypass", "operator_id", "valid_for", "pre_shared_key", "until", "until_now", "resume_token"];
        Assert.That((refusal.Code, refusal.Info), Is.EqualTo((StatusCode.InvalidArgument, ("INVALID_REQUEST", "otpauth.v1"))));
        optional = method.Name switch
        {
            "RequestExport" => [.. optional, "supplier"],
            "IssueTemporaryOtp" => [.. optional, "uses"],
            _ => optional,
        };

        // Of a question to the records everything but the institution narrows it.
        var needed = method.Name is "QueryAudit" or "VerifyAudit"
            ? ["institution_id"]
            : method.Input.Fields.InFieldNumberOrder().Select(field => field.Name).Except(optional);
        Assert.That(refusal.Fields, Is.EquivalentTo(needed));
    }

    [Test]
    public async Task Message_RandomBytes_IsInvalidArgument([ValueSource(nameof(AllMethods))] RpcMethod method)
    {
        // Seeded, so that a failure comes again.
        var random = new Random(20261123);
        for (var i = 0; i < 300; i++)
        {
            var bytes = new byte[random.Next(1, 400)];
            random.NextBytes(bytes);
            var refusal = await Refusal.OfAsync(() => SendAsync(method, bytes));
            Assert.That(refusal.Code, Is.EqualTo(StatusCode.InvalidArgument), Convert.ToHexString(bytes));
        }
    }

    /// <summary>Every message cut after each of its bytes, and with each of its bytes replaced: a valid one may come out, a fault may not.</summary>
    [Test]
    public async Task Message_CutOrAltered_IsNeverAFault()
    {
        var (contractor, token) = await service.RegisteredAsync();
        var request = VerifyOf(contractor, token.WrongAt(service.Clock.GetUtcNow())).ToByteArray();
        var method = MethodNamed("Verify");
        var random = new Random(20261124);
        for (var at = 0; at < request.Length; at++)
        {
            Assert.That(await CodeAsync(method, request[..at]), Is.EqualTo(StatusCode.InvalidArgument), $"cut after {at} bytes");
            var altered = (byte[])request.Clone();
            altered[at] ^= (byte)random.Next(1, 256);
            Assert.That(
                await CodeAsync(method, altered),
                Is.AnyOf(StatusCode.InvalidArgument, StatusCode.OK, StatusCode.PermissionDenied),
                Convert.ToHexString(altered));
        }
    }

    [TestCase(MaxRequestBytes, StatusCode.OK)]
    [TestCase(MaxRequestBytes + 1, StatusCode.ResourceExhausted)]
    [TestCase(5 * 1024, StatusCode.ResourceExhausted)]
    public async Task FrontEndRequest_OfASize_IsReadUpToFourKibibytes(int size, StatusCode expected)
    {
        var request = new GetRequirementRequest { InstitutionId = "demo", ContractorId = "C-1", Channel = Channel.PcBrowser };
        Assert.That(await CodeAsync(MethodNamed("GetRequirement"), Padded(request, size)), Is.EqualTo(expected));
    }

    [TestCase(MaxOperationsBytes, StatusCode.NotFound)]
    [TestCase(MaxOperationsBytes + 1, StatusCode.ResourceExhausted)]
    public async Task OperatorRequest_OfASize_IsReadUpToSixtyFourKibibytes(int size, StatusCode expected)
    {
        var request = new GetBindingRequest { InstitutionId = "demo", ContractorId = "nobody" };
        Assert.That(await CodeAsync(MethodNamed("GetBinding"), Padded(request, size)), Is.EqualTo(expected));
    }

    /// <summary>A few hundred bytes on the wire that inflate to a megabyte: the limit counts what they become.</summary>
    [Test]
    public async Task Request_InflatingBeyondTheLimit_IsResourceExhausted()
    {
        var request = Padded(new GetRequirementRequest { InstitutionId = "demo", ContractorId = "C-1", Channel = Channel.PcBrowser }, 1024 * 1024);
        var compressed = new Metadata { { "grpc-internal-encoding-request", "gzip" } };
        Assert.That(await CodeAsync(MethodNamed("GetRequirement"), request, compressed), Is.EqualTo(StatusCode.ResourceExhausted));
    }

    [Test]
    public async Task Request_WithUnknownFields_IsDecidedAsWithoutThem()
    {
        var (contractor, token) = await service.RegisteredAsync();
        byte[] unknown = [0xA0, 0x06, 0x2A, .. Field(101, "later"u8), 0xB1, 0x06, 1, 2, 3, 4, 5, 6, 7, 8, 0xBD, 0x06, 1, 2, 3, 4, 0xC3, 0x06, 0x08, 0x01, 0xC4, 0x06];
        byte[] request = [.. VerifyOf(contractor, token.At(service.Clock.GetUtcNow())).ToByteArray(), .. unknown];

        var answer = VerifyResponse.Parser.ParseFrom(await SendAsync(MethodNamed("Verify"), request));

        Assert.That((answer.Outcome, answer.Decision), Is.EqualTo((Outcome.Accepted, Decision.Allow)));
    }

    [TestCase("otpauth.v1.OtpAuth", "Nothing")]
    [TestCase("otpauth.v1.OtpOperations", "Verify")]
    [TestCase("otpauth.v2.OtpAuth", "Verify")]
    public async Task Method_Unknown_IsUnimplemented(string serviceName, string name) =>
        Assert.That(
            await CodeAsync(new RpcMethod(serviceName, name, MethodType.Unary, VerifyRequest.Descriptor), []), Is.EqualTo(StatusCode.Unimplemented));

    /// <summary>Routing finds an RPC in any case; the table of rights does not, and what is not in it is refused.</summary>
    [TestCase("otpauth.v1.OtpAuth", "verify")]
    [TestCase("otpauth.v1.otpauth", "Verify")]
    public async Task Method_InAnotherCase_IsPermissionDenied(string serviceName, string name) =>
        Assert.That(
            await CodeAsync(new RpcMethod(serviceName, name, MethodType.Unary, VerifyRequest.Descriptor), []), Is.EqualTo(StatusCode.PermissionDenied));

    /// <summary>A method that the table lacks is refused to everyone: it must not be forgotten there, and only those of the contract belong in it.</summary>
    [Test]
    public void Method_OfTheContract_HasItsRowInRights([ValueSource(nameof(AllMethods))] RpcMethod method)
    {
        Assert.That(Roles.Where(role => Rights.Allow(CallerWith(role), method.FullName)), Is.Not.Empty);
        Assert.That(Roles.Where(role => Rights.Allow(CallerWith(role), method.FullName + "2")), Is.Empty);
        Assert.That(Rights.IsOpen(method.FullName), Is.False);
    }

    /// <summary>One RPC of the contract; printed by its name.</summary>
    public sealed record RpcMethod(string Service, string Name, MethodType Type, MessageDescriptor Input)
    {
        public string FullName => $"/{Service}/{Name}";

        public bool IsImport => Type == MethodType.ClientStreaming;

        public string FirstField => Input.Fields.InFieldNumberOrder()[0].Name;

        public override string ToString() => Name;
    }

    /// <summary>Bytes with a name.</summary>
    public sealed record Payload(string Name, byte[] Bytes)
    {
        public override string ToString() => Name;
    }

    private static readonly Payload[] Unreadable =
    [
        new("a tag and nothing", [0x0A]),
        new("a length beyond the end", [0x0A, 0x10, 0x61]),
        new("a negative length", [0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]),
        new("a length of 2 GiB", [0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0x07]),
        new("a varint cut off", [0x20, 0x80]),
        new("a varint of eleven bytes", [0x20, .. Enumerable.Repeat((byte)0xFF, 10), 0x01]),
        new("a tag of eleven bytes", [.. Enumerable.Repeat((byte)0xFF, 10), 0x01]),
        new("field number 0", [0x02, 0x00]),
        new("wire type 6", [0x0E]),
        new("wire type 7", [0x0F]),
        new("a group that does not end", [0x0B, 0x08, 0x01]),
        new("a group that did not begin", [0x0C]),
        new("a group that ends as another", [0x0B, 0x14]),
        new("groups nested a thousand deep", [.. Enumerable.Repeat((byte)0x0B, 1_000), .. Enumerable.Repeat((byte)0x0C, 1_000)]),
        new("a fixed64 cut off", [0x09, 1, 2, 3]),
        new("text instead", [.. "GET / HTTP/1.1\r\n\r\n"u8]),
    ];

    private static readonly CallerRoles[] Roles = Enum.GetValues<CallerRoles>();

    private static IEnumerable<RpcMethod> AllMethods =>
        from service in new[] { OtpAuth.Descriptor, OtpOperations.Descriptor }
        from method in service.Methods
        let type = (method.IsClientStreaming, method.IsServerStreaming) switch
        {
            (false, false) => MethodType.Unary,
            (true, false) => MethodType.ClientStreaming,
            (false, true) => MethodType.ServerStreaming,
            (true, true) => MethodType.DuplexStreaming,
        }
        select new RpcMethod(service.FullName, method.Name, type, method.InputType);

    private static RpcMethod MethodNamed(string name) => AllMethods.Single(method => method.Name == name);

    private static Caller CallerWith(CallerRoles role) => new("any", role, FrozenSet<InstitutionId>.Empty);

    private static VerifyRequest VerifyOf(string contractor, string otp) => new()
    {
        RequestId = Calls.NewRequestId(),
        InstitutionId = "demo",
        ContractorId = contractor,
        Channel = Channel.PcBrowser,
        Purpose = Purpose.Login,
        Otp = otp,
    };

    private static byte[] Field(int number, ReadOnlySpan<byte> content)
    {
        using var bytes = new MemoryStream();
        using (var output = new CodedOutputStream(bytes, leaveOpen: true))
        {
            output.WriteTag(number, WireFormat.WireType.LengthDelimited);
            output.WriteBytes(ByteString.CopyFrom(content));
        }

        return bytes.ToArray();
    }

    /// <summary>The request with an unknown field of zeros that makes it exactly so large.</summary>
    private static byte[] Padded(IMessage request, int size)
    {
        var content = request.ToByteArray();
        var padding = size - content.Length;
        while (content.Length + Field(100, new byte[padding]).Length > size)
        {
            padding--;
        }

        byte[] padded = [.. content, .. Field(100, new byte[padding])];
        Assert.That(padded, Has.Length.EqualTo(size), "the padding of a test");
        return padded;
    }

    private async Task<StatusCode> CodeAsync(RpcMethod method, byte[] request, Metadata? metadata = null)
    {
        try
        {
            await SendAsync(method, request, metadata);
            return StatusCode.OK;
        }
        catch (RpcException error)
        {
            return error.StatusCode;
        }
    }

    private async Task<byte[]> SendAsync(RpcMethod method, byte[] request, Metadata? metadata = null)
    {
        var raw = new Method<byte[], byte[]>(method.Type, method.Service, method.Name, Bytes, Bytes);
        var invoker = service.Channel.CreateCallInvoker();
        var options = new CallOptions(metadata);
        switch (method.Type)
        {
            case MethodType.Unary:
                return await invoker.AsyncUnaryCall(raw, null, options, request);
            case MethodType.ClientStreaming:
                using (var call = invoker.AsyncClientStreamingCall(raw, null, options))
                {
                    await call.RequestStream.WriteAsync(request);
                    await call.RequestStream.CompleteAsync();
                    return await call;
                }

            case MethodType.ServerStreaming:
                using (var call = invoker.AsyncServerStreamingCall(raw, null, options, request))
                {
                    await call.ResponseStream.MoveNext(CancellationToken.None);
                    return call.ResponseStream.Current;
                }

            default:
                throw new ArgumentOutOfRangeException(nameof(method), method.Type, "No RPC of the contract streams both ways.");
        }
    }
}
