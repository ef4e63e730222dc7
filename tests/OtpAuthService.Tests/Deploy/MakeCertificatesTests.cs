using System.Runtime.Versioning;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using OtpAuthService.Client;
using OtpAuthService.Tests.Fixtures;

namespace OtpAuthService.Tests.Deploy;

/// <summary>What deploy/make-certificates.sh makes is what the service and its callers need for mutual TLS.</summary>
public sealed class MakeCertificatesTests
{
    private const string Frontend = "spiffe://bank.example/caller/frontend-1";
    private const string Gateway = "spiffe://bank.example/caller/gateway-1";

    private string folder = null!;

    [SetUp]
    public async Task MakeAsync()
    {
        folder = Path.Combine(Directory.CreateTempSubdirectory("otpauth-certs-").FullName, "certs");
        await RunAsync("--days", "30", "--server-name", "otp.bank.example", "--server-name", "192.0.2.7", "--caller", $"{Frontend}=frontend-1");
    }

    [TearDown]
    public void Delete() => Directory.Delete(Path.GetDirectoryName(folder)!, recursive: true);

    [Test]
    public void Server_Made_HasItsUseAndNames()
    {
        using var server = Load("server");
        var names = server.Extensions.OfType<X509SubjectAlternativeNameExtension>().Single();

        Assert.That(names.EnumerateDnsNames(), Is.EqualTo(["localhost", "otp.bank.example"]));
        Assert.That(names.EnumerateIPAddresses().Select(address => $"{address}"), Is.EqualTo(["127.0.0.1", "::1", "192.0.2.7"]));
        AssertLeadsToTheCa(server, CertificateContent.ServerUse, CertificateContent.ClientUse);
    }

    [Test]
    public async Task Caller_MadeAtFirstOrLater_IsNamedByItsUriAlone()
    {
        await RunAsync("--caller", $"{Gateway}=gateway-1");

        foreach (var (file, uri) in new[] { ("frontend-1", Frontend), ("gateway-1", Gateway) })
        {
            using var caller = Load(file);
            var names = caller.Extensions.Single(extension => extension.Oid!.Value == "2.5.29.17");
            var expected = new SubjectAlternativeNameBuilder();
            expected.AddUri(new Uri(uri));
            Assert.That(names.RawData, Is.EqualTo(expected.Build().RawData));
            AssertLeadsToTheCa(caller, CertificateContent.ClientUse, CertificateContent.ServerUse);
        }
    }

    [Test]
    [UnsupportedOSPlatform("windows")]
    public void Keys_OfAll_BelongToTheirCertificatesAndAreForTheirOwnerOnly()
    {
        foreach (var name in new[] { "ca", "server", "frontend-1" })
        {
            Assert.That(File.GetUnixFileMode(Path.Combine(folder, $"{name}.key")), Is.EqualTo(UnixFileMode.UserRead | UnixFileMode.UserWrite));
            using var pair = X509Certificate2.CreateFromPemFile(Path.Combine(folder, $"{name}.pem"), Path.Combine(folder, $"{name}.key"));
            Assert.That((pair.NotAfter - pair.NotBefore).TotalDays, Is.EqualTo(name == "ca" ? 300 : 30).Within(0.01));
        }
    }

    [Test]
    public async Task Revoke_OneOfTwo_ListsThatOneOnly()
    {
        await RunAsync("--caller", $"{Gateway}=gateway-1");
        Assert.That(await OpenSslVerifyAsync("frontend-1"), Does.Contain("OK"));

        await RunAsync("--revoke", "frontend-1");

        Assert.That(await OpenSslVerifyAsync("frontend-1"), Does.Contain("certificate revoked"));
        Assert.That(await OpenSslVerifyAsync("gateway-1"), Does.Contain("OK"));
        var list = CertificateRevocationListBuilder.LoadPem(await File.ReadAllTextAsync(Path.Combine(folder, "crl.pem")), out var number);
        using var revoked = Load("frontend-1");
        using var kept = Load("gateway-1");
        Assert.That(number, Is.EqualTo(new System.Numerics.BigInteger(3)));
        Assert.That(list.RemoveEntry(revoked.SerialNumberBytes.Span), Is.True);
        Assert.That(list.RemoveEntry(kept.SerialNumberBytes.Span), Is.False);
    }

    [TestCase("", "exists already")]
    [TestCase("--caller spiffe://bank.example/caller/other=frontend-1", "would be overwritten")]
    [TestCase("--caller spiffe://bank.example/caller/other=ca", "would be overwritten")]
    [TestCase("--caller spiffe://a.example/1=twice --caller spiffe://a.example/2=twice", "would be overwritten")]
    [TestCase("--server-name other.example --caller spiffe://bank.example/caller/other=other", "for a new folder")]
    [TestCase("--caller spiffe://bank.example/caller/other=../other", "is not of the form")]
    [TestCase("--caller spiffe://bank.example/a,URI:spiffe://bank.example/b=other", "is not of the form")]
    [TestCase("--caller frontend-2", "is not of the form")]
    [TestCase("--revoke nobody", "there is no")]
    [TestCase("--days 0 --caller spiffe://bank.example/caller/other=other", "--days")]
    [TestCase("--renew", "not an option")]
    public async Task Run_WhatWouldOverwriteOrIsWrong_ChangesNothing(string arguments, string sentence)
    {
        var before = Contents();

        using var script = Start(arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries));

        Assert.That(await script.WaitForExitAsync(), Is.Not.Zero);
        Assert.That(script.Output, Does.Contain(sentence));
        Assert.That(Contents(), Is.EqualTo(before));
    }

    [Test]
    public async Task Call_OverMutualTlsWithWhatWasMade_IsAnswered()
    {
        using var server = X509Certificate2.CreateFromPemFile(Path.Combine(folder, "server.pem"), Path.Combine(folder, "server.key"));
        using var ca = Load("ca");
        await using var host = await MtlsHost.StartAsync(ca, () => server);
        using var channel = OtpAuthChannel.Create(host.Address, new()
        {
            CertificateFile = Path.Combine(folder, "frontend-1.pem"),
            KeyFile = Path.Combine(folder, "frontend-1.key"),
            TrustFile = Path.Combine(folder, "ca.pem"),
        });

        await channel.OtpAuth.VerifyAsync(new() { RequestId = RequestId.New() });

        Assert.That(host.Calls, Has.Count.EqualTo(1));
    }

    private ChildProcess Start(params string[] arguments) =>
        ChildProcess.Start("bash", [RepositoryFolder.Of("deploy/make-certificates.sh"), folder, .. arguments]);

    private async Task RunAsync(params string[] arguments)
    {
        using var script = Start(arguments);
        Assert.That(await script.WaitForExitAsync(), Is.Zero, script.Output);
        Assert.That(script.Output, Is.Empty);
    }

    private X509Certificate2 Load(string name) => X509CertificateLoader.LoadCertificateFromFile(Path.Combine(folder, $"{name}.pem"));

    private Dictionary<string, string> Contents() =>
        Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).ToDictionary(file => file, File.ReadAllText);

    private void AssertLeadsToTheCa(X509Certificate2 certificate, string use, string otherUse)
    {
        using var ca = Load("ca");
        Assert.That(Builds(use), Is.True);
        Assert.That(Builds(otherUse), Is.False);

        bool Builds(string usage)
        {
            using var chain = new X509Chain();
            chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
            chain.ChainPolicy.CustomTrustStore.Add(ca);
            chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
            chain.ChainPolicy.ApplicationPolicy.Add(new Oid(usage));
            return chain.Build(certificate);
        }
    }

    private async Task<string> OpenSslVerifyAsync(string name)
    {
        using var openssl = ChildProcess.Start(
            "openssl",
            [
                "verify", "-crl_check", "-CRLfile", Path.Combine(folder, "crl.pem"), "-CAfile", Path.Combine(folder, "ca.pem"),
                Path.Combine(folder, $"{name}.pem"),
            ]);
        await openssl.WaitForExitAsync();
        return openssl.Output;
    }
}
