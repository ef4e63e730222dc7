using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace OtpAuthService.Hosting;

/// <summary>
/// What one peer may take of the service before any call is looked at. A setting of the same name under <c>Kestrel__Limits</c> goes before
/// a value here, except for data rates, which have no form as a setting. Kestrel itself ends a connection that resets streams faster than they
/// are cleared away (CVE-2023-44487: its queue of ended streams is full, or it had to say ENHANCE_YOUR_CALM more than a hundred times in
/// five seconds) or breaks the protocol (WINDOW_UPDATE by 0, frames of closed streams), and reads no further while answers to PING and
/// SETTINGS are not taken. None of that is done again here. Floods that it keeps up with it does not end: they cost CPU time, and memory does
/// not grow by them.
/// </summary>
internal static class EdgeLimits
{
    private const int KiB = 1024;

    public static void Apply(WebApplicationBuilder builder) => builder.WebHost.ConfigureKestrel((context, kestrel) =>
    {
        LimitConnections(kestrel.Limits);
        LimitStreams(kestrel.Limits.Http2);
        LimitHeaders(kestrel.Limits);
        LimitBodies(kestrel.Limits);
        context.Configuration.GetSection("Kestrel:Limits").Bind(kestrel.Limits);
    });

    private static void LimitConnections(KestrelServerLimits limits)
    {
        // Per endpoint, so that health and metrics are reachable while callers' connections are used up. Front ends keep a handful each: this is
        // room for two hundred of them. With all buffers full (below) it is 256 MiB.
        limits.MaxConcurrentConnections = 1_000;

        // For a connection without a stream, and for the preface, however slowly it comes. A PING begins it anew, and the shipped client sends one
        // every 20 s; for the same reason we send none of our own: a peer answers those by itself, and an idle connection would never end.
        limits.KeepAliveTimeout = TimeSpan.FromSeconds(60);
    }

    private static void LimitStreams(Http2Limits http2)
    {
        // Kestrel's own, and what clients expect; a client with more calls opens a second connection.
        http2.MaxStreamsPerConnection = 100;

        // What a peer may send that nobody has read yet. An operator's message of 64 KiB and its five bytes of prefix have to fit: gRPC takes no
        // byte of a message before it is whole, so with a smaller window the two would wait for each other. A hundred Verify together are 30 KiB.
        http2.InitialStreamWindowSize = 128 * KiB;
        http2.InitialConnectionWindowSize = 256 * KiB;

        // The smallest that HTTP/2 allows; each holds one message of ours.
        http2.MaxFrameSize = 16 * KiB;
    }

    private static void LimitHeaders(KestrelServerLimits limits)
    {
        // The shipped client sends nine headers of 250 bytes in all; a proxy and tracing add some. 8 KiB is what gRPC implementations agree on, and
        // what clients are told, so that a good one refuses to send more. Up to twice as much is HTTP 431 for that call; more ends the
        // connection, also where it comes as many CONTINUATION frames.
        limits.MaxRequestHeadersTotalSize = 8 * KiB;
        limits.MaxRequestHeaderCount = 64;

        // Not less than the total: a longer field ends the connection with all its calls, and clients are not told of this limit.
        limits.Http2.MaxRequestHeaderFieldSize = 8 * KiB;

        // The protocol's default: 4 KiB of a connection's memory save about 200 bytes per call on the wire.
        limits.Http2.HeaderTableSize = 4 * KiB;

        // From the first to the last frame of one header block, also where CONTINUATION frames are empty.
        limits.RequestHeadersTimeout = TimeSpan.FromSeconds(5);
    }

    private static void LimitBodies(KestrelServerLimits limits)
    {
        // Of the whole connection, while a call waits for its message: this is what ends streams that are opened and left alone. gRPC lifts it, and
        // the size, for RPCs with a client stream: those end by their deadline (CallDeadlines) and by the 2 GiB of an import.
        limits.MinRequestBodyDataRate = new MinDataRate(bytesPerSecond: 240, gracePeriod: TimeSpan.FromSeconds(5));
        limits.MinResponseDataRate = new MinDataRate(bytesPerSecond: 240, gracePeriod: TimeSpan.FromSeconds(5));

        // gRPC refuses a message of more than 4 KiB (operators: 64 KiB) by its prefix, with RESOURCE_EXHAUSTED; this only has to be out of its way.
        limits.MaxRequestBodySize = 1024 * KiB;
    }
}
