using System.Buffers.Binary;
using System.Text;
using OtpAuthService.Bench.Workloads;

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
        var block = new List<byte>
        {
            Hpack.Indexed(Hpack.MethodPost),
            Hpack.Indexed(address.Scheme == Uri.UriSchemeHttps ? Hpack.SchemeHttps : Hpack.SchemeHttp),
        };
        block.AddRange(Hpack.Literal(Hpack.Path, path));
        block.AddRange(Hpack.Literal(Hpack.Authority, address.Authority));
        block.AddRange(Hpack.Literal(Hpack.ContentType, "application/grpc"));
        block.AddRange(Hpack.Literal("te", "trailers"));
        block.AddRange(Hpack.Literal("user-agent", "grpc-dotnet/2.85.0 (.NET 10.0.12; CLR 10.0.12; net10.0; linux; x64)"));
        block.AddRange(Hpack.Literal("grpc-accept-encoding", "identity,gzip,deflate"));
        // Ten times the client's, so that no rival's cold start is cut off; to the server it is the same.
        block.AddRange(Hpack.Literal("grpc-timeout", "30S"));
        headers = new byte[Frame.HeaderSize + block.Count];
        Frame.WriteHeader(headers, block.Count, FrameType.Headers, Frame.EndHeaders, stream: 0);
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

    /// <summary>As much of HPACK as a request needs: indices of the static table (RFC 7541 appendix A) and literals without Huffman coding.</summary>
    private static class Hpack
    {
        public const int Authority = 1;
        public const int MethodPost = 3;
        public const int Path = 4;
        public const int SchemeHttp = 6;
        public const int SchemeHttps = 7;
        public const int ContentType = 31;

        public static byte Indexed(int index) => (byte)(0x80 | index);

        public static byte[] Literal(int name, string value) => [.. Index(name), .. Text(value)];

        public static byte[] Literal(string name, string value) => [0, .. Text(name), .. Text(value)];

        /// <summary>Four bits, and what does not fit into them in the next byte (RFC 7541 section 5.1).</summary>
        private static byte[] Index(int name) => name < 15 ? [(byte)name] : [15, (byte)(name - 15)];

        /// <summary>Shorter than 127: the length is one byte.</summary>
        private static byte[] Text(string value) => [(byte)value.Length, .. Encoding.ASCII.GetBytes(value)];
    }
}
