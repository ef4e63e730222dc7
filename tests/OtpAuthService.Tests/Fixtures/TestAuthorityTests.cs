namespace OtpAuthService.Tests.Fixtures;

/// <summary>OpenSSL's opinion of what the tests' own authority makes: a certificate that is wrong in another way than a test means proves nothing.</summary>
public sealed class TestAuthorityTests
{
    [TestCase(false)]
    [TestCase(true)]
    public async Task RevocationList_OfTheAuthorityThatSigns_RefusesWhatIsOnItOnly(bool withIntermediate)
    {
        using var authority = new TestAuthority(withIntermediate: withIntermediate);
        var kept = authority.IssueClient();
        var revoked = authority.IssueClient();
        var list = authority.WriteRevocationList(revoked);

        Assert.That((await VerifyAsync(authority, kept, "sslclient", list)).ExitCode, Is.Zero);
        Assert.That((await VerifyAsync(authority, revoked, "sslclient", list)).Output, Does.Contain("certificate revoked"));
    }

    [Test]
    public async Task Certificates_OfEachKind_AreWrongInTheirOwnWayOnly()
    {
        using var authority = new TestAuthority();
        using var other = new TestAuthority("Other CA");
        var client = CertificateContent.Client;

        Assert.That((await VerifyAsync(authority, authority.IssueServer(), "sslserver")).ExitCode, Is.Zero);
        Assert.That((await VerifyAsync(authority, authority.Issue(client with { Uses = [] }), "sslclient")).ExitCode, Is.Zero);
        Assert.That((await VerifyAsync(authority, authority.IssueServer(), "sslclient")).Output, Does.Contain("unsuitable certificate purpose"));
        Assert.That((await VerifyAsync(authority, authority.Issue(client.Expired()), "sslclient")).Output, Does.Contain("certificate has expired"));
        Assert.That((await VerifyAsync(authority, authority.Issue(client.NotYetValid()), "sslclient")).Output, Does.Contain("not yet valid"));
        Assert.That((await VerifyAsync(authority, other.IssueClient(), "sslclient")).Output, Does.Contain("unable to get local issuer"));
        Assert.That((await VerifyAsync(authority, authority.IssueSelfSigned(client), "sslclient")).Output, Does.Contain("self-signed"));
    }

    private static async Task<(int ExitCode, string Output)> VerifyAsync(
        TestAuthority authority, TestCertificate certificate, string purpose, string? revocationList = null)
    {
        string[] revocation = revocationList is null ? [] : ["-crl_check", "-CRLfile", revocationList];
        using var openssl = ChildProcess.Start(
            "openssl",
            [
                "verify", "-purpose", purpose, "-CAfile", authority.BundleFile, "-no-CApath", "-no-CAstore", .. revocation,
                "-untrusted", certificate.CertificateFile, certificate.CertificateFile,
            ]);
        var exitCode = await openssl.WaitForExitAsync();
        return (exitCode, openssl.Output);
    }
}
