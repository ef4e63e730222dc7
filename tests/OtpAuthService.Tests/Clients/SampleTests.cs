using System.Net;
using OtpAuthService.Tests.Fixtures;

namespace OtpAuthService.Tests.Clients;

/// <summary>The samples in other languages, as processes against the real service over mutual TLS.</summary>
[TestFixture("node", "src/Samples/NodeClient/front-end.js")]
// Debian's Python, for which Debian packages gRPC; another one may come first on the path.
[TestFixture("/usr/bin/python3", "src/Samples/PythonClient/front_end.py")]
public class SampleTests(string program, string script)
{
    private CallersUnderTest callers = null!;

    [SetUp]
    public void MakeCallers() => callers = new CallersUnderTest(CallerRow.Frontend("front", "demo"));

    [TearDown]
    public void RemoveCallers() => callers.Dispose();

    [Test]
    public async Task Submissions_OneAfterTheOther_AreAnswered()
    {
        await using var service = await OtpService.StartAsync(StoreKind.Sqlite, callers.Settings);
        var token = await service.Operations.IssueAsync();
        var now = service.Clock.GetUtcNow();
        using var frontEnd = Start($"dns:///localhost:{new Uri(service.TlsAddress).Port}");

        Assert.That(await frontEnd.AskAsync($"register C-1 {token.CredentialId} {token.At(now)}"), Is.EqualTo("ALLOW ACCEPTED"));
        Assert.That(await frontEnd.AskAsync($"verify C-1 {token.At(now, 1)}"), Is.EqualTo("ALLOW ACCEPTED"));
        Assert.That(await frontEnd.AskAsync($"verify C-1 {token.At(now, 1)}"), Is.EqualTo("DENY ALREADY_USED"));
        Assert.That(await frontEnd.AskAsync("verify C-1 12a456"), Does.StartWith("ERROR INVALID_ARGUMENT: INVALID_REQUEST: otp "));
        Assert.That(await frontEnd.AskAsync("verify C-1"), Does.StartWith("? "));
        await service.StopAsync();
        Assert.That(await frontEnd.AskAsync($"verify C-1 {token.At(now, 1)}"), Does.StartWith("ERROR UNAVAILABLE"));
        Assert.That(await frontEnd.EndAsync(), Is.Zero);
    }

    [Test]
    public async Task Replica_GoneBeforeItsAnswer_IsRetriedAtAnotherThatGivesTheFirstAnswer()
    {
        using var stores = await StoresUnderTest.CreateAsync(StoreKind.PostgresRedis);
        await using var first = await OtpService.StartAsync(stores, clock: null, callers.Settings);
        await using var second = await OtpService.StartAsync(stores, first.Clock, callers.Settings);
        await using var toFirst = new LostAnswer(IPAddress.Parse("127.0.0.1"), first.TlsAddress);
        await using var toSecond = new LostAnswer(IPAddress.Parse("127.0.0.2"), second.TlsAddress);
        var token = await first.Operations.IssueAsync();
        var now = first.Clock.GetUtcNow();
        // As a name with two addresses, which no machine has for sure.
        using var frontEnd = Start($"ipv4:{toFirst.Address},{toSecond.Address}", "localhost");
        Assert.That(await frontEnd.AskAsync($"register C-1 {token.CredentialId} {token.At(now)}"), Is.EqualTo("ALLOW ACCEPTED"));
        await Eventually.IsTrueAsync(() => Task.FromResult(toFirst.IsConnected && toSecond.IsConnected), "both replicas are connected");
        // What is said after a handshake has been said.
        await Task.Delay(500);

        var lost = 0;
        toFirst.Lose(() => Interlocked.Increment(ref lost) == 1);
        toSecond.Lose(() => Interlocked.Increment(ref lost) == 1);
        var answer = await frontEnd.AskAsync($"verify C-1 {token.At(now, 1)}");

        Assert.That(answer, Is.EqualTo("ALLOW ACCEPTED repeated"));
        Assert.That(toFirst.IsGone, Is.Not.EqualTo(toSecond.IsGone));
        Assert.That(await frontEnd.AskAsync($"verify C-1 {token.At(now, 1)}"), Is.EqualTo("DENY ALREADY_USED"));
    }

    [Test]
    public async Task Certificate_ReplacedByItsFiles_IsShownFromThenOn()
    {
        await using var service = await OtpService.StartAsync(StoreKind.Sqlite, callers.Settings);
        var (old, replacement) = (callers.CertificateOf("front"), callers.Authority.IssueClient(CallersUnderTest.NameOf("front")));
        var token = await service.Operations.IssueAsync();
        var now = service.Clock.GetUtcNow();
        using var frontEnd = Start($"dns:///localhost:{new Uri(service.TlsAddress).Port}");
        Assert.That(await frontEnd.AskAsync($"register C-1 {token.CredentialId} {token.At(now)}"), Is.EqualTo("ALLOW ACCEPTED"));

        // Half of it, at first.
        File.Copy(replacement.CertificateFile, old.CertificateFile, overwrite: true);
        await Task.Delay(1_100);
        Assert.That(await frontEnd.AskAsync($"verify C-1 {token.At(now, 1)}"), Is.EqualTo("ALLOW ACCEPTED"));
        File.Copy(replacement.KeyFile, old.KeyFile, overwrite: true);
        await Task.Delay(1_100);
        File.Copy(callers.Authority.WriteRevocationList(old), callers.RevokedFile, overwrite: true);
        await Task.Delay(1_100);

        Assert.That(await frontEnd.AskAsync($"verify C-1 {token.At(now, 1)}"), Is.EqualTo("DENY ALREADY_USED"));
    }

    private FrontEndProcess Start(string target, params string[] serverName)
    {
        var certificate = callers.CertificateOf("front");
        return FrontEndProcess.Start(program, [RepositoryFolder.Of(script), target, certificate.CertificateFile, certificate.KeyFile, callers.TrustFile, .. serverName]);
    }
}
