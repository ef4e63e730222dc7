using OtpAuthService.Tests.Fixtures;

namespace OtpAuthService.Tests;

/// <summary>The operator CLI over mutual TLS.</summary>
public sealed class OtpCtlTlsTests
{
    private TestAuthority authority = null!;
    private TestCertificate client = null!;
    private MtlsHost host = null!;

    [OneTimeSetUp]
    public async Task StartAsync()
    {
        authority = new TestAuthority();
        client = authority.IssueClient("spiffe://bank.example/caller/operator-1");
        host = await MtlsHost.StartAsync(authority, authority.IssueServer);
    }

    [OneTimeTearDown]
    public async Task StopAsync()
    {
        await host.DisposeAsync();
        authority.Dispose();
    }

    [Test]
    public async Task Call_WithCertificateKeyAndTrust_IsAnswered()
    {
        var result = await VerifyAsync("--certificate", client.CertificateFile, "--key", client.KeyFile, "--trust", authority.BundleFile);

        Assert.That(result.ExitCode, Is.Zero, result.Errors);
        Assert.That(host.Calls.Last().Serial, Is.EqualTo(client.SerialNumber));
    }

    [Test]
    public async Task Call_WithTheVariables_IsAnswered()
    {
        var result = await OtpCtlProcess.RunAsync(
            "123456\n",
            ["binding", "verify", "--contractor", "K-1"],
            ("OTPCTL_ADDRESS", host.Address),
            ("OTPCTL_CERTIFICATE", client.CertificateFile),
            ("OTPCTL_KEY", client.KeyFile),
            ("OTPCTL_TRUST", authority.BundleFile));

        Assert.That(result.ExitCode, Is.Zero, result.Errors);
        Assert.That(host.Calls.Last().Serial, Is.EqualTo(client.SerialNumber));
    }

    [Test]
    public async Task Call_WithoutCertificate_Exits4AndNamesTheOption()
    {
        var result = await VerifyAsync("--trust", authority.BundleFile);

        Assert.That(result.ExitCode, Is.EqualTo(4));
        Assert.That(result.Errors, Does.Contain("requires a client certificate, --certificate").And.Not.Contains("   at "));
    }

    [Test]
    public async Task Call_ServiceThatIsNotTrusted_Exits4AndSaysThatNothingWasSent()
    {
        var result = await VerifyAsync("--certificate", client.CertificateFile, "--key", client.KeyFile);

        Assert.That(result.ExitCode, Is.EqualTo(4));
        Assert.That(result.Errors, Does.Contain("The remote certificate is invalid").And.Contains("a root of --trust")
            .And.EndsWith("nothing was sent.\n").And.Not.Contains("   at "));
    }

    [Test]
    public async Task Call_KeyOfAnotherCertificate_Exits2WithASentence()
    {
        var other = authority.IssueClient();

        var result = await VerifyAsync("--certificate", client.CertificateFile, "--key", other.KeyFile);

        Assert.That(result.ExitCode, Is.EqualTo(2));
        Assert.That(result.Errors, Is.EqualTo(
            $"otpctl: '{other.KeyFile}' holds no unencrypted private key in PEM form that belongs to the certificate in '{client.CertificateFile}'.\n"));
    }

    private Task<OtpCtlProcess.Result> VerifyAsync(params string[] options) =>
        OtpCtlProcess.RunAsync("123456\n", ["binding", "verify", "--contractor", "K-1", "--address", host.Address, .. options]);
}
