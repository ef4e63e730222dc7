using System.Net.Security;
using System.Net.Sockets;

namespace OtpAuthService.Client;

/// <summary>Opens what a connection is made over.</summary>
internal delegate ValueTask<Stream> Opening(SocketsHttpConnectionContext context, CancellationToken cancellation);

/// <summary>
/// Makes the connections of a channel. SocketsHttpHandler would keep the certificate it was made with, and send it without its
/// intermediates where one is chosen per connection.
/// </summary>
internal sealed class Connector(OtpAuthTls? settings, TimeProvider time)
{
    // A second attempt still fits into the default deadline when the first host is gone without a word.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1.5);

    // Only with TLS.
    private TlsMaterial? material = settings is null ? null : TlsMaterial.Read(settings, time.GetUtcNow());

    /// <summary>Whether a connection was ever made.</summary>
    public bool HasConnected { get; private set; }

    /// <summary>For <see cref="SocketsHttpHandler.ConnectCallback"/>: a connection over what is opened, to the server of that name or IP address.</summary>
    public Func<SocketsHttpConnectionContext, CancellationToken, ValueTask<Stream>> Over(Opening open, string host) =>
        (context, cancellation) => ConnectAsync(open, context, host, cancellation);

    public static async ValueTask<Stream> OpenSocketAsync(SocketsHttpConnectionContext context, CancellationToken cancellation)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(context.DnsEndPoint, cancellation);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private async ValueTask<Stream> ConnectAsync(Opening open, SocketsHttpConnectionContext context, string host, CancellationToken cancellation)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(Patience);
        Stream? plain = null;
        try
        {
            plain = await open(context, limit.Token);
            var connection = settings is null ? plain : await SecureAsync(plain, settings, host, limit.Token);
            HasConnected = true;
            return connection;
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            plain?.Dispose();
            // Not SocketsHttpHandler.ConnectTimeout: gRPC takes that for a cancelled call, and this for UNAVAILABLE, which is tried again.
            throw new SocketException((int)SocketError.TimedOut);
        }
        catch
        {
            plain?.Dispose();
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
