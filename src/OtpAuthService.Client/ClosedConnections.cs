using System.Net.Sockets;

namespace OtpAuthService.Client;

/// <summary>
/// A server that is about to stop may end a new connection with its first word (GOAWAY without an error). SocketsHttpHandler takes that for
/// a breach of HTTP/2 and gRPC for INTERNAL, which is never tried again; here it is what it is: a connection that is not to be had, UNAVAILABLE.
/// </summary>
internal sealed class ClosedConnections(HttpMessageHandler inner) : DelegatingHandler(inner)
{
    // RFC 9113, section 7: NO_ERROR.
    private const long NoError = 0;

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        try
        {
            return await base.SendAsync(request, cancellationToken);
        }
        catch (HttpRequestException closed) when (closed.InnerException is HttpProtocolException { ErrorCode: NoError })
        {
            throw new HttpRequestException(closed.Message, new SocketException((int)SocketError.ConnectionReset));
        }
    }
}
