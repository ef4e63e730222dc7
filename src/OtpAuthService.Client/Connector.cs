using System.Net.Security;
using System.Net.Sockets;

namespace OtpAuthService.Client;

/// <summary>
/// Makes the connections of a channel. SocketsHttpHandler would keep the certificate it was made with, and send it without its
/// intermediates where one is chosen per connection.
/// </summary>
internal sealed class Connector(OtpAuthTls? settings, TimeProvider time)
{
    // Only for https.
    private TlsMaterial? material = settings is null ? null : TlsMaterial.Read(settings, time.GetUtcNow());

    /// <summary>Whether a connection was ever made.</summary>
    public bool HasConnected { get; private set; }

    public async ValueTask<Stream> ConnectAsync(SocketsHttpConnectionContext context, CancellationToken cancellation)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(context.DnsEndPoint, cancellation);
            var plain = new NetworkStream(socket, ownsSocket: true);
            var connection = settings is null ? plain : await SecureAsync(plain, settings, context.DnsEndPoint.Host, cancellation);
            HasConnected = true;
            return connection;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private async Task<Stream> SecureAsync(Stream plain, OtpAuthTls tls, string host, CancellationToken cancellation)
    {
        material = ReadAgain(tls);
        var secured = new SslStream(plain);
        await secured.AuthenticateAsClientAsync(material.OptionsFor(host), cancellation);
        return secured;
    }

    // Between the writing of a new certificate and of its key, the files do not fit together.
    private TlsMaterial ReadAgain(OtpAuthTls tls)
    {
        var now = time.GetUtcNow();
        try
        {
            return TlsMaterial.Read(tls, now);
        }
        catch (ArgumentException) when (material is { } before && before.IsValidAt(now))
        {
            return before;
        }
    }
}
