using System.Buffers.Binary;
using OtpAuthService.Bench.Workloads;
using OtpAuthService.Tests.Abuse;

namespace OtpAuthService.Bench.Client;

/// <summary>
/// The HTTP/2 frames of one unary gRPC call, HEADERS and DATA (RFC 9113 section 6). The header block is encoded once: literals without
/// indexing (RFC 7541 section 6.2.2), as .NET's own client sends them, so that no state has to be kept; and they are the headers that
/// OtpAuthService.Client sends, deadline included.
/// </summary>
internal sealed class RequestFrames
{
    /// <summary>No message of ours is longer.</summary>
    public const int LargestMessage = 256;

    private const int GrpcPrefix = 5;

    private readonly byte[] headers;

    public RequestFrames(Uri address, string path)
    {
        // Longer than the client's 3 s, so that no rival's cold start is cut off; to the server it is the same, up to its own limit.
        var block = Hpack.GrpcRequest(address, path, "10S");
        headers = new byte[Frame.HeaderSize + block.Length];
        Frame.WriteHeader(headers, block.Length, FrameType.Headers, Frame.EndHeaders, stream: 0);
        block.CopyTo(headers, Frame.HeaderSize);
    }

    /// <summary>Upper bound of what <see cref="Write"/> writes.</summary>
    public int LargestSize => headers.Length + Frame.HeaderSize + GrpcPrefix + LargestMessage;

    /// <summary>Writes the next call of the workload.</summary>
    /// <returns>How many bytes, and how many of them count against the flow-control window.</returns>
    public (int Written, int Data) Write(Span<byte> target, int stream, IWorkload workload, out Call call)
    {
        headers.CopyTo(target);
        Frame.WriteStream(target, stream);
        var data = target[headers.Length..];
        var message = data[(Frame.HeaderSize + GrpcPrefix)..];
        call = workload.Next(message[..LargestMessage]);
        Frame.WriteHeader(data, GrpcPrefix + call.Length, FrameType.Data, Frame.EndStream, stream);
        data[Frame.HeaderSize] = 0;
        BinaryPrimitives.WriteInt32BigEndian(data[(Frame.HeaderSize + 1)..], call.Length);
        return (headers.Length + Frame.HeaderSize + GrpcPrefix + call.Length, GrpcPrefix + call.Length);
    }
}
