using System.Globalization;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace OtpAuthService.Client;

/// <summary>Certificate, key and trusted roots as they were at one moment.</summary>
internal sealed class TlsMaterial
{
    private readonly X509Certificate2? certificate;
    private readonly SslStreamCertificateContext? chain;
    private readonly X509Certificate2Collection? trusted;

    private TlsMaterial(X509Certificate2? certificate, X509Certificate2Collection intermediates, X509Certificate2Collection? trusted)
    {
        this.certificate = certificate;
        this.trusted = trusted;
        // Offline: nothing is fetched from addresses that stand in certificates.
        chain = certificate is null ? null : SslStreamCertificateContext.Create(certificate, intermediates, offline: true);
    }

    /// <exception cref="ArgumentException">Something cannot be read, does not fit together or is not valid now.</exception>
    public static TlsMaterial Read(OtpAuthTls settings, DateTimeOffset now)
    {
        settings.Validate();
        var trusted = settings.TrustFile is null ? null : ReadCertificates(settings.TrustFile, ReadText(settings.TrustFile));
        if (settings.CertificateFile is null)
        {
            return new(settings.Certificate is null ? null : Check(settings.Certificate, "The client certificate", now), [], trusted);
        }

        var text = ReadText(settings.CertificateFile);
        var intermediates = ReadCertificates(settings.CertificateFile, text);
        intermediates.RemoveAt(0);
        return new(
            Check(ReadWithKey(settings.CertificateFile, text, settings.KeyFile), $"The certificate in '{settings.CertificateFile}'", now),
            intermediates,
            trusted);
    }

    public bool IsValidAt(DateTimeOffset now) => certificate is null || now < certificate.NotAfter;

    /// <summary>For a handshake with the server of that name or IP address, which its certificate has to bear.</summary>
    public SslClientAuthenticationOptions OptionsFor(string host) => new()
    {
        TargetHost = host,
        ApplicationProtocols = [SslApplicationProtocol.Http2],
        EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
        ClientCertificateContext = chain,
        CertificateChainPolicy = trusted is null ? null : TrustOnly(trusted),
    };

    private static X509ChainPolicy TrustOnly(X509Certificate2Collection roots)
    {
        var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
        policy.CustomTrustStore.AddRange(roots);
        return policy;
    }

    private static X509Certificate2 Check(X509Certificate2 certificate, string what, DateTimeOffset now)
    {
        if (!certificate.HasPrivateKey)
        {
            throw new ArgumentException($"{what} comes without its private key.");
        }

        if (now >= certificate.NotAfter)
        {
            throw new ArgumentException($"{what} expired on {Moment(certificate.NotAfter)}.");
        }

        return now < certificate.NotBefore
            ? throw new ArgumentException($"{what} is not valid before {Moment(certificate.NotBefore)}.")
            : certificate;
    }

    private static string Moment(DateTime local) => local.ToUniversalTime().ToString("yyyy-MM-dd HH:mm:ss 'UTC'", CultureInfo.InvariantCulture);

    private static string ReadText(string file)
    {
        try
        {
            return File.ReadAllText(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new ArgumentException($"'{file}' cannot be read: {e.Message}", e);
        }
    }

    private static X509Certificate2Collection ReadCertificates(string file, string text)
    {
        var found = new X509Certificate2Collection();
        try
        {
            found.ImportFromPem(text);
        }
        catch (CryptographicException e)
        {
            throw new ArgumentException($"'{file}' holds a certificate that cannot be read: {e.Message}", e);
        }

        return found.Count > 0 ? found : throw new ArgumentException($"'{file}' holds no certificate in PEM form.");
    }

    private static X509Certificate2 ReadWithKey(string certificateFile, string certificate, string? keyFile)
    {
        var key = keyFile is null ? certificate : ReadText(keyFile);
        try
        {
            var read = X509Certificate2.CreateFromPem(certificate, key);
            // Windows cannot use a key in a handshake that was never in one of its own containers.
            return OperatingSystem.IsWindows() ? X509CertificateLoader.LoadPkcs12(read.Export(X509ContentType.Pkcs12), password: null) : read;
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            throw new ArgumentException(
                $"'{keyFile ?? certificateFile}' holds no unencrypted private key in PEM form that belongs to the certificate in '{certificateFile}'.", e);
        }
    }
}
