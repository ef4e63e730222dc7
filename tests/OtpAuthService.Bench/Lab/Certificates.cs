using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using OtpAuthService.Bench.Client;

namespace OtpAuthService.Bench.Lab;

/// <summary>A certificate authority for one run, with a server's and a client's certificate (P-256), as PEM files where a server reads them.</summary>
internal sealed class Certificates
{
    private const string ServerAuthentication = "1.3.6.1.5.5.7.3.1";
    private const string ClientAuthentication = "1.3.6.1.5.5.7.3.2";

    private readonly string folder;

    private Certificates(string folder, ClientTls client)
    {
        this.folder = folder;
        Client = client;
    }

    public string AuthorityFile => Path.Combine(folder, "ca.pem");

    public string ServerFile => Path.Combine(folder, "server.pem");

    public string ServerKeyFile => Path.Combine(folder, "server.key");

    public ClientTls Client { get; }

    public static Certificates Make(string folder)
    {
        using var authority = MakeAuthority();
        using var serverKey = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var server = Sign(authority, serverKey, "CN=bench server", ServerAuthentication);
        using var clientKey = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var client = Sign(authority, clientKey, "CN=bench client", ClientAuthentication);

        var made = new Certificates(
            folder,
            new ClientTls(client.CopyWithPrivateKey(clientKey), X509CertificateLoader.LoadCertificate(authority.RawData)));
        File.WriteAllText(made.AuthorityFile, authority.ExportCertificatePem());
        File.WriteAllText(made.ServerFile, server.ExportCertificatePem());
        File.WriteAllText(made.ServerKeyFile, serverKey.ExportPkcs8PrivateKeyPem());
        return made;
    }

    private static X509Certificate2 MakeAuthority()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=bench CA", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, false, 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign, critical: true));
        var now = TimeProvider.System.GetUtcNow();
        return request.CreateSelfSigned(now.AddHours(-1), now.AddDays(1));
    }

    private static X509Certificate2 Sign(X509Certificate2 authority, ECDsa key, string subject, string use)
    {
        var request = new CertificateRequest(subject, key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(use)], critical: true));
        return request.Create(authority, authority.NotBefore, authority.NotAfter, RandomNumberGenerator.GetBytes(8));
    }
}
