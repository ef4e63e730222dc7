using System.Security.Cryptography;
using Grpc.Core;
using OtpAuthService.Hosting;
using OtpAuthService.Tests.Fixtures;

namespace OtpAuthService.Tests.Callers;

/// <summary>Certificates, trust and callers change while the service runs: no call fails by it, and who is taken out is out.</summary>
[TestFixture]
public class RotationTests
{
    private CallersUnderTest callers = null!;
    private OtpService service = null!;

    [SetUp]
    public async Task StartAsync()
    {
        callers = new CallersUnderTest(CallerRow.Frontend("frontend", "demo"), CallerRow.Frontend("other", "demo"));
        service = await OtpService.StartAsync(StoreKind.Sqlite, callers.Settings);
    }

    [TearDown]
    public async Task StopAsync()
    {
        await service.DisposeAsync();
        callers.Dispose();
    }

    [Test]
    public async Task ServerAndAuthority_ChangedUnderLoad_FailNoCall()
    {
        using var next = new TestAuthority("Next CA");
        callers.TrustServersOf(next);
        var certificate = callers.CertificateOf("frontend");
        using var load = new CancellationTokenSource();
        var calling = Enumerable.Range(0, 4).Select(_ => CallOnNewConnectionsAsync(() => certificate, load.Token)).ToList();

        await File.WriteAllTextAsync(callers.TrustFile, await File.ReadAllTextAsync(callers.TrustFile) + "\n" + await File.ReadAllTextAsync(next.BundleFile));
        var renewed = next.IssueClient(CallersUnderTest.NameOf("frontend"));
        await Eventually.IsTrueAsync(() => MayCallAsync(renewed), "certificates of the new authority are believed");
        certificate = renewed;
        callers.Serve(next.IssueServer());
        await Eventually.IsTrueAsync(() => IsServedByAsync(next), "the new server certificate is in use");
        // A connection that was opened with the old certificate may still be calling: it has to be gone before the old root is.
        await Task.WhenAll(calling.Select(async _ => await CallOnceAsync(certificate)));
        await load.CancelAsync();
        var calls = await Task.WhenAll(calling);
        File.Copy(next.BundleFile, callers.TrustFile, overwrite: true);

        await Eventually.IsTrueAsync(async () => !await MayCallAsync(callers.CertificateOf("frontend")), "the old authority is not believed any more");
        Assert.That(await MayCallAsync(renewed), Is.True);
        Assert.That(calls, Is.All.GreaterThan(0), "calls on each connection");
        Assert.That(service.Errors.Errors, Is.Empty);
    }

    [Test]
    public async Task Certificate_Revoked_IsOutOnItsOpenConnectionAndOnNewOnes([Values("list", "fingerprint")] string by)
    {
        var certificate = callers.CertificateOf("frontend");
        using var open = callers.Connect(service, certificate);
        await open.Auth.RequirementAsync("C-1");

        await File.WriteAllTextAsync(callers.RevokedFile, by == "list"
            ? await File.ReadAllTextAsync(callers.Authority.WriteRevocationList(certificate))
            : $"# lost with its machine\n{certificate.Certificate.GetCertHashString(HashAlgorithmName.SHA256)}\n");

        await Eventually.IsTrueAsync(async () => await CodeOfAsync(open) == StatusCode.Unauthenticated, "the open connection is nobody's", seconds: 10);
        using var later = callers.Connect(service, certificate);
        Assert.That((await Refusal.OfAsync(async () => await later.Auth.RequirementAsync("C-1"))).IsOfHandshake, Is.True);
        Assert.That(await MayCallAsync(callers.CertificateOf("other")), Is.True);
    }

    [Test]
    public async Task Caller_TakenOutOfTheFile_IsOutOnItsOpenConnection()
    {
        using var open = callers.Connect(service, "frontend");
        await open.Auth.RequirementAsync("C-1");
        callers.Write(CallerRow.Frontend("other", "demo"));
        await Eventually.IsTrueAsync(async () => await CodeOfAsync(open) == StatusCode.Unauthenticated, "it is nobody's", seconds: 10);
        callers.Write(CallerRow.Frontend("other", "demo"), CallerRow.Frontend("frontend", "demo"));
        await Eventually.IsTrueAsync(async () => await CodeOfAsync(open) == StatusCode.OK, "it is back without connecting again", seconds: 10);
    }

    [Test]
    public async Task Certificate_ThatExpiresOnAnOpenConnection_IsOut()
    {
        using var open = callers.Connect(service, "frontend");
        await open.Auth.RequirementAsync("C-1");
        service.Clock.Advance(TimeSpan.FromDays(11));
        Assert.That(await CodeOfAsync(open), Is.EqualTo(StatusCode.Unauthenticated));
    }

    /// <summary>What was read last stays in force, and a metric says so until the files are well again.</summary>
    [TestCase("callers", "callers.json", "{ \"callers\": [ }")]
    [TestCase("callers", "callers.json", "{ \"callers\": [], \"roles\": [] }")]
    [TestCase("callers", "callers.json", null)]
    [TestCase("client trust", "trust.pem", "")]
    [TestCase("client trust", "trust.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----")]
    [TestCase("client trust", "revoked.pem", "not a fingerprint")]
    [TestCase("client trust", "revoked.pem", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----")]
    [TestCase("server certificate", "serving.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----")]
    [TestCase("server certificate", "serving.key", "")]
    [TestCase("server certificate", "serving.key", null)]
    public async Task Files_Broken_KeepWhatWasRead(string files, string name, string? content)
    {
        var path = Path.Combine(callers.Authority.Folder, name);
        var well = await File.ReadAllTextAsync(path);
        if (content is null)
        {
            File.Delete(path);
        }
        else
        {
            await File.WriteAllTextAsync(path, content);
        }

        await Eventually.IsTrueAsync(async () => await IsBrokenAsync(files), "the metric says that it is broken", seconds: 10);
        Assert.That(await MayCallAsync(callers.CertificateOf("frontend")), Is.True);
        Assert.That(service.Errors.Errors.Single(), Does.StartWith($"The files of '{files}' cannot be used"));

        await File.WriteAllTextAsync(path, well);
        await Eventually.IsTrueAsync(async () => !await IsBrokenAsync(files), "the metric says that it is well", seconds: 10);
        Assert.That(await MayCallAsync(callers.CertificateOf("frontend")), Is.True);
    }

    /// <summary>There is nothing to keep at the start.</summary>
    [Test]
    public async Task Start_WithABrokenFile_IsRefused([Values("callers.json", "trust.pem", "serving.key")] string name)
    {
        await File.WriteAllTextAsync(Path.Combine(callers.Authority.Folder, name), "broken");
        var refused = await Assert.ThrowsAsync<StartRefusedException>(async () => await OtpService.StartAsync(StoreKind.Sqlite, callers.Settings));
        Assert.That(refused!.Message, Does.Contain(name));
    }

    private async Task<int> CallOnNewConnectionsAsync(Func<TestCertificate> certificate, CancellationToken stop)
    {
        var calls = 0;
        while (!stop.IsCancellationRequested)
        {
            using var connection = callers.Connect(service, certificate());
            for (var i = 0; i < 20; i++, calls++)
            {
                await connection.Auth.RequirementAsync("C-1");
            }
        }

        return calls;
    }

    private async Task CallOnceAsync(TestCertificate certificate)
    {
        using var connection = callers.Connect(service, certificate);
        await connection.Auth.RequirementAsync("C-1");
    }

    private async Task<bool> MayCallAsync(TestCertificate certificate)
    {
        using var connection = callers.Connect(service, certificate);
        return await CodeOfAsync(connection) == StatusCode.OK;
    }

    private async Task<bool> IsServedByAsync(TestAuthority authority)
    {
        using var client = new System.Net.Sockets.TcpClient();
        var address = new Uri(service.TlsAddress);
        await client.ConnectAsync(address.Host, address.Port);
        await using var tls = new System.Net.Security.SslStream(client.GetStream());
        var options = callers.TlsOf(callers.CertificateOf("other"));
        options.TargetHost = "localhost";
        options.ApplicationProtocols = [System.Net.Security.SslApplicationProtocol.Http2];
        await tls.AuthenticateAsClientAsync(options);
        return tls.RemoteCertificate!.Issuer == authority.Root.Subject;
    }

    private async Task<bool> IsBrokenAsync(string files)
    {
        using var http = new HttpClient();
        return (await http.GetStringAsync($"{service.ManagementAddress}/metrics")).Contains($"otp_files_broken{{otel_scope_name=\"OtpAuthService\",files=\"{files}\"}} 1", StringComparison.Ordinal);
    }

    private static async Task<StatusCode> CodeOfAsync(CallerConnection connection)
    {
        try
        {
            await connection.Auth.RequirementAsync("C-1");
            return StatusCode.OK;
        }
        catch (RpcException refused)
        {
            return refused.StatusCode;
        }
    }
}
