using OtpAuthService.Client;
using OtpAuthService.Tests.Fixtures;

namespace OtpAuthService.Tests;

/// <summary>What is wrong with certificate files is said when the channel is made, with the name of the file.</summary>
public sealed class OtpAuthTlsFilesTests
{
    private const string Address = "https://otp.example";

    private TestAuthority authority = null!;
    private TestCertificate client = null!;

    [OneTimeSetUp]
    public void MakeAuthority()
    {
        authority = new TestAuthority();
        client = authority.IssueClient();
    }

    [OneTimeTearDown]
    public void DisposeAuthority() => authority.Dispose();

    [Test]
    public void Create_FilesThatFit_Succeeds()
    {
        Assert.That(() => OtpAuthChannel.Create(Address, Files(client)).Dispose(), Throws.Nothing);
        Assert.That(() => OtpAuthChannel.Create(Address, new() { TrustFile = authority.BundleFile }).Dispose(), Throws.Nothing);
        Assert.That(() => OtpAuthChannel.Create(Address, new()).Dispose(), Throws.Nothing);
    }

    [Test]
    public void Create_FileThatIsNotThere_NamesIt()
    {
        AssertRefused(new() { CertificateFile = "/no/such.pem", KeyFile = client.KeyFile }, "'/no/such.pem' cannot be read: ");
        AssertRefused(new() { CertificateFile = client.CertificateFile, KeyFile = "/no/such.key" }, "'/no/such.key' cannot be read: ");
        AssertRefused(new() { TrustFile = authority.Folder }, $"'{authority.Folder}' cannot be read: ");
        AssertRefused(new() { TrustFile = "" }, "'' cannot be read: ");
    }

    [Test]
    public void Create_FileWithSomethingElse_NamesIt()
    {
        AssertRefused(new() { CertificateFile = client.KeyFile, KeyFile = client.KeyFile }, $"'{client.KeyFile}' holds no certificate in PEM form.");
        AssertRefused(new() { TrustFile = client.KeyFile }, $"'{client.KeyFile}' holds no certificate in PEM form.");
        AssertRefused(
            new() { CertificateFile = client.CertificateFile, KeyFile = authority.BundleFile },
            $"'{authority.BundleFile}' holds no unencrypted private key in PEM form that belongs to the certificate in '{client.CertificateFile}'.");
        AssertRefused(
            new() { CertificateFile = client.CertificateFile },
            $"'{client.CertificateFile}' holds no unencrypted private key in PEM form");
        var broken = Path.Combine(authority.Folder, "broken.pem");
        File.WriteAllText(broken, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        AssertRefused(new() { TrustFile = broken }, $"'{broken}' holds a certificate that cannot be read: ");
    }

    [Test]
    public void Create_KeyOfAnotherCertificate_IsRefused() => AssertRefused(
        new() { CertificateFile = client.CertificateFile, KeyFile = authority.IssueClient().KeyFile },
        $"that belongs to the certificate in '{client.CertificateFile}'.");

    [Test]
    public void Create_CertificateNotValidNow_IsRefusedWithItsDate()
    {
        var expired = authority.Issue(CertificateContent.Client.Expired());
        var early = authority.Issue(CertificateContent.Client.NotYetValid());

        AssertRefused(Files(expired), $"The certificate in '{expired.CertificateFile}' expired on {expired.Certificate.NotAfter.ToUniversalTime():yyyy-MM-dd HH:mm}");
        AssertRefused(Files(early), $"The certificate in '{early.CertificateFile}' is not valid before {early.Certificate.NotBefore.ToUniversalTime():yyyy-MM-dd HH:mm}");
        AssertRefused(new() { Certificate = expired.Certificate }, "The client certificate expired on ");
    }

    [Test]
    public void Create_SettingsThatContradict_AreRefused()
    {
        using var withoutKey = System.Security.Cryptography.X509Certificates.X509CertificateLoader.LoadCertificate(client.Certificate.RawData);

        AssertRefused(new() { Certificate = withoutKey }, "without its private key");
        AssertRefused(new() { Certificate = client.Certificate, CertificateFile = client.CertificateFile }, "not both");
        AssertRefused(new() { KeyFile = client.KeyFile }, "without its certificate");
        AssertRefused(new() { ConnectionLifetime = TimeSpan.FromSeconds(0.9) }, "1 s to 1 day");
        AssertRefused(new() { ConnectionLifetime = TimeSpan.FromDays(2) }, "1 s to 1 day");
        Assert.That(
            () => OtpAuthChannel.Create("http://127.0.0.1:5080", Files(client)), Throws.ArgumentException.With.Message.Contains("plaintext"));
    }

    private static OtpAuthTls Files(TestCertificate certificate) =>
        new() { CertificateFile = certificate.CertificateFile, KeyFile = certificate.KeyFile };

    private static void AssertRefused(OtpAuthTls tls, string sentence) =>
        Assert.That(() => OtpAuthChannel.Create(Address, tls), Throws.ArgumentException.With.Message.Contains(sentence));
}
