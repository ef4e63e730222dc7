using System.Net.Security;
using System.Net.Sockets;

namespace OtpAuthService.Client;

/// <summary>
/// Makes the connections of a channel. SocketsHttpHandler would keep the certificate it was made with, and send it without its
/// intermediates where one is chosen per connection.
/// </summary>
internal sealed class Connector(OtpAuthTls? settings, TimeProvider time)
{
    // A second attempt still fits into the default deadline when the first host is gone without a word.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1.5);

    // Only for https.
    private TlsMaterial? material = settings is null ? null : TlsMaterial.Read(settings, time.GetUtcNow());

    /// <summary>Whether a connection was ever made.</summary>
    public bool HasConnected { get; private set; }

    public async ValueTask<Stream> ConnectAsync(SocketsHttpConnectionContext context, CancellationToken cancellation)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(Patience);
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(context.DnsEndPoint, limit.Token);
            var plain = new NetworkStream(socket, ownsSocket: true);
            var connection = settings is null ? plain : await SecureAsync(plain, settings, context.DnsEndPoint.Host, limit.Token);
            HasConnected = true;
            return connection;
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            socket.Dispose();
            // Not SocketsHttpHandler.ConnectTimeout: gRPC takes that for a cancelled call, and this for UNAVAILABLE, which is tried again.
            throw new SocketException((int)SocketError.TimedOut);
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
