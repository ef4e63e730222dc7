using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using Grpc.Core;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Callers;

/// <summary>Who gets in, over real sockets: one certificate of our own authority, made for clients, in force, with one name that is a caller's.</summary>
[TestFixture]
public class CertificateTests
{
    private static readonly TestAuthority Authority = new("Bank CA", withIntermediate: true);
    private static readonly TestAuthority OtherAuthority = new("Other CA");

    private CallersUnderTest callers = null!;
    private OtpService service = null!;

    [OneTimeSetUp]
    public async Task StartAsync()
    {
        callers = new CallersUnderTest(
            Authority,
            CallerRow.Frontend("frontend", "demo"),
            CallerRow.Frontend("by-host", "demo") with { Name = "dns:frontend.bank.example" },
            CallerRow.Frontend("ended", "demo") with { NotAfter = TimeProvider.System.GetUtcNow().AddDays(-1) });
        service = await OtpService.StartAsync(StoreKind.Sqlite, callers.Settings);
    }

    [OneTimeTearDown]
    public async Task StopAsync()
    {
        await service.DisposeAsync();
        callers.Dispose();
        OtherAuthority.Dispose();
    }

    [Test]
    public async Task Call_WithTheCertificateOfACaller_IsThatCallers([Values(SslProtocols.Tls12, SslProtocols.Tls13)] SslProtocols protocol)
    {
        var (contractor, token) = await service.RegisteredAsync();
        using var frontend = callers.Connect(service, callers.CertificateOf("frontend"), protocol);
        var answer = await frontend.Auth.VerifyAsync(contractor, token.At(service.Clock.GetUtcNow()));
        Assert.That(answer.Outcome, Is.EqualTo(Outcome.Accepted));
        Assert.That((await service.AuditAsync(contractor))[^1].CallerId, Is.EqualTo("frontend"));
    }

    [Test]
    public async Task Call_WithOneDnsNameAndNoUri_IsTheCallersOfThatName()
    {
        using var frontend = callers.Connect(service, Authority.Issue(CertificateContent.Client with { Uris = [], DnsNames = ["Frontend.Bank.Example"] }));
        Assert.That((await frontend.Auth.RequirementAsync("C-1")).Requirement, Is.EqualTo(Requirement.NotRegistered));
    }

    private static IEnumerable<TestCaseData> Refused()
    {
        var caller = CertificateContent.Client with { Uris = [CallersUnderTest.NameOf("frontend")] };
        // By the handshake: no call comes to be.
        yield return Row("NoCertificate", () => null, byHandshake: true);
        yield return Row("Expired", () => Authority.Issue(caller.Expired()), byHandshake: true);
        yield return Row("NotYetValid", () => Authority.Issue(caller.NotYetValid()), byHandshake: true);
        yield return Row("OtherAuthority", () => OtherAuthority.Issue(caller), byHandshake: true);
        yield return Row("SelfSigned", () => Authority.IssueSelfSigned(caller), byHandshake: true);
        yield return Row("ForServersOnly", () => Authority.Issue(caller with { Uses = [CertificateContent.ServerUse] }), byHandshake: true);
        yield return Row("ForNoStatedUse", () => Authority.Issue(caller with { Uses = [] }), byHandshake: true);
        // By the first call: the certificate is good, but nobody's.
        yield return Row("TwoNames", () => Authority.Issue(caller with { Uris = [.. caller.Uris, CallersUnderTest.NameOf("by-host")] }), byHandshake: false);
        yield return Row("TheSameNameTwice", () => Authority.Issue(caller with { Uris = [.. caller.Uris, .. caller.Uris] }), byHandshake: false);
        yield return Row("TwoHosts", () => Authority.Issue(caller with { Uris = [], DnsNames = ["frontend.bank.example", "b.example"] }), byHandshake: false);
        yield return Row("NoName", () => Authority.Issue(caller with { Uris = [] }), byHandshake: false);
        yield return Row("UnknownName", () => Authority.Issue(caller with { Uris = [CallersUnderTest.NameOf("nobody")] }), byHandshake: false);
        yield return Row("NameInOtherCase", () => Authority.Issue(caller with { Uris = [CallersUnderTest.NameOf("Frontend")] }), byHandshake: false);
        yield return Row("CallersIdAsSubject", () => Authority.Issue(caller with { Name = "frontend", Uris = [] }), byHandshake: false);
        yield return Row("CallerThatHasEnded", () => Authority.IssueClient(CallersUnderTest.NameOf("ended")), byHandshake: false);

        static TestCaseData Row(string name, Func<TestCertificate?> certificate, bool byHandshake) =>
            new TestCaseData(certificate, byHandshake).SetArgDisplayNames(name);
    }

    [TestCaseSource(nameof(Refused))]
    public async Task Call_WithAnyOtherCertificate_IsRefusedBeforeAnythingIsEvaluated(Func<object?> certificate, bool byHandshake)
    {
        var (contractor, token) = await service.RegisteredAsync();
        var before = await service.TracesAsync();
        using var stranger = callers.Connect(service, (TestCertificate?)certificate());
        var refusal = await Refusal.OfAsync(async () => await stranger.Auth.VerifyAsync(contractor, token.At(service.Clock.GetUtcNow())));
        Assert.That(refusal.IsOfHandshake, Is.EqualTo(byHandshake));
        if (!byHandshake)
        {
            Assert.That(refusal.Code, Is.EqualTo(StatusCode.Unauthenticated));
            Assert.That(refusal.Info, Is.EqualTo(("CALLER_UNKNOWN", "otpauth.v1")));
        }

        Assert.That(await service.TracesAsync(), Is.EqualTo(before));
        Assert.That(service.Errors.All, Does.Contain($"Security event {(byHandshake ? "CERTIFICATE_" : "CALLER_UNKNOWN")}"));
    }

    [Test]
    public async Task Connection_InPlaintext_IsClosedWithoutAnAnswer()
    {
        using var client = new TcpClient();
        var address = new Uri(service.TlsAddress);
        await client.ConnectAsync(address.Host, address.Port);
        await using var stream = client.GetStream();
        await stream.WriteAsync("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u0004\0\0\0\0\0"u8.ToArray());
        Assert.That(await ReadToEndAsync(stream), Does.Not.Contain("HTTP"));
    }

    [Test]
    public async Task Connection_WithAnOldProtocol_IsRefused()
    {
#pragma warning disable CA5397, SYSLIB0039 // Old on purpose: it must not work.
        var old = callers.TlsOf(callers.CertificateOf("frontend"), SslProtocols.Tls11);
#pragma warning restore CA5397, SYSLIB0039
        old.TargetHost = "localhost";
        using var client = new TcpClient();
        var address = new Uri(service.TlsAddress);
        await client.ConnectAsync(address.Host, address.Port);
        await using var tls = new SslStream(client.GetStream());
        await Assert.ThrowsAsync(Is.InstanceOf<AuthenticationException>().Or.InstanceOf<IOException>(), () => tls.AuthenticateAsClientAsync(old));
    }

    /// <summary>Metrics tell of all institutions: not for callers.</summary>
    [Test]
    public async Task Metrics_AskedForAtTheCallersEndpoint_AreNotThere([Values("/metrics", "/health/ready", "/health/live")] string path)
    {
        using var handler = new SocketsHttpHandler { SslOptions = callers.TlsOf(callers.CertificateOf("frontend")) };
        using var http = new HttpClient(handler) { DefaultRequestVersion = new Version(2, 0), DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact };
        using var answer = await http.GetAsync(service.TlsAddress + path);
        Assert.That((int)answer.StatusCode, Is.EqualTo(404));
        using var management = await http.SendAsync(new HttpRequestMessage(HttpMethod.Get, service.ManagementAddress + path) { Version = new Version(1, 1) });
        Assert.That((int)management.StatusCode, Is.EqualTo(200));
    }

    private static async Task<string> ReadToEndAsync(NetworkStream stream)
    {
        using var reader = new StreamReader(stream, System.Text.Encoding.Latin1);
        try
        {
            return await reader.ReadToEndAsync();
        }
        catch (IOException)
        {
            return "";
        }
    }
}
