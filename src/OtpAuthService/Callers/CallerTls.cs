using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using OtpAuthService.Hosting;
using OtpAuthService.Telemetry;

namespace OtpAuthService.Callers;

/// <summary>Mutual TLS: the server's certificate, and whose client certificates a connection may be opened with. Both follow their files.</summary>
internal sealed class CallerTls
{
    private readonly Watched<SslStreamCertificateContext> server;
    private readonly Watched<ClientTrust> trust;
    private readonly SecurityEvents events;
    private readonly TimeProvider time;

    /// <exception cref="StartRefusedException">A file cannot be used.</exception>
    public CallerTls(TlsOptions options, FileWatch files, SecurityEvents events, TimeProvider time)
    {
        this.events = events;
        this.time = time;
        server = files.Watch("server certificate", [options.CertificateFile!, options.KeyFile!], ReadCertificate);
        trust = options.RevokedFile is { } revoked
            ? files.Watch("client trust", [options.TrustFile!, revoked], read => ClientTrust.Read(read[0], read[1]))
            : files.Watch("client trust", [options.TrustFile!], read => ClientTrust.Read(read[0], revoked: null));
    }

    /// <summary>Another instance after each change of its files.</summary>
    public ClientTrust Trust => trust.Current;

    /// <summary>The server's certificate, and the intermediates that it sends along.</summary>
    public IEnumerable<X509Certificate2> ServerChain => [server.Current.TargetCertificate, .. server.Current.IntermediateCertificates];

    /// <summary>For every https endpoint of Kestrel.</summary>
    public TlsHandshakeCallbackOptions Handshakes => new() { OnConnection = opened => new(HandshakeOf(opened.Connection)) };

    private SslServerAuthenticationOptions HandshakeOf(ConnectionContext connection) => new()
    {
        EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
        ServerCertificateContext = server.Current,
        ClientCertificateRequired = true,
        RemoteCertificateValidationCallback = (_, certificate, chain, _) => Admit(connection, certificate, chain),
        // The check is ours (ClientTrust): the system's would hold the certificate against roots of the whole world first.
        CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
        // A resumed session would stand for a certificate that may be revoked by now.
        AllowTlsResume = false,
    };

    private bool Admit(ConnectionContext connection, X509Certificate? certificate, X509Chain? chain)
    {
        if (certificate is null)
        {
            events.Raise("CERTIFICATE_MISSING");
            return false;
        }

        // Copies: what the handshake hands over is disposed of after it.
        var own = X509CertificateLoader.LoadCertificate(certificate.GetRawCertData());
        var sent = new X509Certificate2Collection();
        foreach (var link in chain?.ChainPolicy.ExtraStore ?? [])
        {
            sent.Add(X509CertificateLoader.LoadCertificate(link.RawData));
        }

        if (!Trust.Trusts(own, sent, time.GetUtcNow()))
        {
            events.Raise("CERTIFICATE_REFUSED");
            return false;
        }

        connection.Items[typeof(PeerCertificate)] = new PeerCertificate(own, sent);
        return true;
    }

    /// <summary>A certificate, with intermediates behind it, and its key: PEM each.</summary>
    public static SslStreamCertificateContext ReadCertificate(IReadOnlyList<byte[]> files)
    {
        var (certificates, key) = (System.Text.Encoding.ASCII.GetString(files[0]), System.Text.Encoding.ASCII.GetString(files[1]));
        var chain = new X509Certificate2Collection();
        chain.ImportFromPem(certificates);
        using var bare = X509Certificate2.CreateFromPem(certificates, key);
        // Through PKCS #12: platforms differ in whether TLS takes a key that was never stored.
        var own = X509CertificateLoader.LoadPkcs12(bare.Export(X509ContentType.Pkcs12), password: null);
        return SslStreamCertificateContext.Create(own, chain, offline: true);
    }
}

/// <summary>The client certificate of a connection, believed when it was opened.</summary>
/// <param name="Certificate">The client's.</param>
/// <param name="Sent">What it sent along.</param>
internal sealed record PeerCertificate(X509Certificate2 Certificate, X509Certificate2Collection Sent)
{
    /// <summary>Who it is, as was found last; replaced by whoever finds that it rests on files that have changed.</summary>
    public Assessment? Assessment { get; set; }

    public DateTimeOffset NotAfter { get; } = new(Certificate.NotAfter.ToUniversalTime());
}

/// <summary>Who a client certificate belongs to, by what was known at the time.</summary>
/// <param name="Trust">What the certificate was believed by.</param>
/// <param name="Registry">What its name was looked up in.</param>
/// <param name="Caller">Null where it belongs to nobody.</param>
internal sealed record Assessment(ClientTrust Trust, CallerRegistry Registry, Caller? Caller);
