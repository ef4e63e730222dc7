using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;

namespace OtpAuthService.Bench.Client;

/// <summary>Where a server takes calls: h2c, or TLS with a client certificate.</summary>
/// <param name="Address">With scheme and port.</param>
/// <param name="Tls">For https: who we are and whom we trust.</param>
internal sealed record Endpoint(Uri Address, ClientTls? Tls = null)
{
    /// <summary>Longer than any call takes that will still be answered.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(15);

    public Stream Open()
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true, ReceiveTimeout = (int)Patience.TotalMilliseconds };
        socket.Connect(Address.Host, Address.Port);
        var plain = new NetworkStream(socket, ownsSocket: true);
        return Tls is null ? plain : Secure(plain, Tls);
    }

    private SslStream Secure(NetworkStream plain, ClientTls tls)
    {
        var secured = new SslStream(plain);
        secured.AuthenticateAsClient(new SslClientAuthenticationOptions
        {
            TargetHost = Address.Host,
            ApplicationProtocols = [SslApplicationProtocol.Http2],
            ClientCertificates = [tls.Certificate],
            CertificateChainPolicy = new X509ChainPolicy
            {
                TrustMode = X509ChainTrustMode.CustomRootTrust,
                CustomTrustStore = { tls.Authority },
                RevocationMode = X509RevocationMode.NoCheck,
            },
        });
        return secured;
    }
}

/// <param name="Certificate">The client's, with its key.</param>
/// <param name="Authority">Whose server certificates are trusted.</param>
internal sealed record ClientTls(X509Certificate2 Certificate, X509Certificate2 Authority);
