using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace OtpAuthService.Tests.Fixtures;

/// <summary>
/// A certificate authority for one test (P-256), with everything it issues as PEM files in a temporary folder of its own. Another
/// authority is another instance. Times are real ones, because TLS stacks know no other clock.
/// </summary>
internal sealed class TestAuthority : IDisposable
{
    private static readonly DateTimeOffset Now = TimeProvider.System.GetUtcNow();

    private readonly X509Certificate2? intermediate;
    private int issued;
    private int lists;

    /// <param name="name">Common name of the root.</param>
    /// <param name="withIntermediate">Whether an intermediate signs, whose certificate then follows each leaf in its file.</param>
    public TestAuthority(string name = "Test CA", bool withIntermediate = false)
    {
        using var key = NewKey();
        Root = AuthorityRequest(name, key).CreateSelfSigned(Now.AddDays(-30), Now.AddDays(30));
        intermediate = withIntermediate ? MakeIntermediate(Root, $"{name} intermediate") : null;
        BundleFile = Write("ca.pem", Root.ExportCertificatePem());
    }

    public string Folder { get; } = Directory.CreateTempSubdirectory("otpauth-ca-").FullName;

    /// <summary>Whom to trust, with its key.</summary>
    public X509Certificate2 Root { get; }

    /// <summary>The root alone, as PEM.</summary>
    public string BundleFile { get; }

    private X509Certificate2 Signer => intermediate ?? Root;

    /// <summary>For <c>localhost</c>, 127.0.0.1 and ::1.</summary>
    public TestCertificate IssueServer() => Issue(CertificateContent.Server);

    /// <summary>For a client that is the caller of that URI.</summary>
    public TestCertificate IssueClient(string uri = CertificateContent.FrontendUri) => Issue(CertificateContent.Client with { Uris = [uri] });

    /// <summary>Anything: <c>CertificateContent.Client with { Uris = [] }</c>.</summary>
    public TestCertificate Issue(CertificateContent content)
    {
        using var key = NewKey();
        using var certificate = content.Request(key).Create(Signer, Now + content.ValidFrom, Now + content.ValidUntil, NewSerial());
        return Keep(content.Name, certificate.CopyWithPrivateKey(key), intermediate?.ExportCertificatePem() ?? "");
    }

    /// <summary>The same, signed by its own key: nobody vouches for it.</summary>
    public TestCertificate IssueSelfSigned(CertificateContent content)
    {
        using var key = NewKey();
        return Keep(content.Name, content.Request(key).CreateSelfSigned(Now + content.ValidFrom, Now + content.ValidUntil), chain: "");
    }

    /// <summary>Writes a revocation list of the authority that signs, valid for a day, with these certificates on it: the path of its PEM file.</summary>
    public string WriteRevocationList(params TestCertificate[] revoked)
    {
        var list = new CertificateRevocationListBuilder();
        foreach (var certificate in revoked)
        {
            list.AddEntry(certificate.Certificate);
        }

        var signed = list.Build(Signer, crlNumber: ++lists, Now.AddDays(1), HashAlgorithmName.SHA256);
        return Write($"crl-{lists}.pem", PemEncoding.WriteString("X509 CRL", signed));
    }

    public void Dispose()
    {
        Root.Dispose();
        intermediate?.Dispose();
        Directory.Delete(Folder, recursive: true);
    }

    private TestCertificate Keep(string name, X509Certificate2 certificate, string chain)
    {
        using var key = certificate.GetECDsaPrivateKey()!;
        issued++;
        return new TestCertificate(
            certificate,
            Write($"{name}-{issued}.pem", $"{certificate.ExportCertificatePem()}\n{chain}"),
            Write($"{name}-{issued}.key", key.ExportPkcs8PrivateKeyPem()));
    }

    private string Write(string name, string content)
    {
        var path = Path.Combine(Folder, name);
        File.WriteAllText(path, content);
        return path;
    }

    private static X509Certificate2 MakeIntermediate(X509Certificate2 root, string name)
    {
        using var key = NewKey();
        using var certificate = AuthorityRequest(name, key).Create(root, root.NotBefore, root.NotAfter, NewSerial());
        return certificate.CopyWithPrivateKey(key);
    }

    private static CertificateRequest AuthorityRequest(string name, ECDsa key)
    {
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(X509BasicConstraintsExtension.CreateForCertificateAuthority());
        request.CertificateExtensions.Add(
            new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, critical: true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, critical: false));
        return request;
    }

    private static ECDsa NewKey() => ECDsa.Create(ECCurve.NamedCurves.nistP256);

    // Positive and without a leading zero byte, as DER wants it.
    private static byte[] NewSerial() => [0x4F, .. RandomNumberGenerator.GetBytes(15)];
}

/// <summary>A certificate with its key, in memory and as PEM files.</summary>
/// <param name="Certificate">With its private key.</param>
/// <param name="CertificateFile">The certificate, and after it the intermediate where there is one.</param>
/// <param name="KeyFile">PKCS #8, not encrypted.</param>
internal sealed record TestCertificate(X509Certificate2 Certificate, string CertificateFile, string KeyFile)
{
    /// <summary>Hexadecimal, upper case, as in <see cref="X509Certificate2.SerialNumber"/>; for deny lists.</summary>
    public string SerialNumber => Certificate.SerialNumber;
}
