using System.Text;

namespace OtpAuthService.Tests.Abuse;

/// <summary>
/// As much of HPACK as a request needs: indices of the static table (RFC 7541 appendix A), and literals without indexing (section 6.2.2) and
/// without Huffman coding, as .NET's own client sends them, so that no state has to be kept.
/// </summary>
internal static class Hpack
{
    private const int Authority = 1;
    private const int MethodPost = 3;
    private const int Path = 4;
    private const int SchemeHttp = 6;
    private const int SchemeHttps = 7;
    private const int ContentType = 31;

    /// <summary>The headers that OtpAuthService.Client sends.</summary>
    /// <param name="timeout">grpc-timeout; none where it is null.</param>
    public static byte[] GrpcRequest(Uri address, string path, string? timeout) =>
    [
        Indexed(MethodPost),
        Indexed(address.Scheme == Uri.UriSchemeHttps ? SchemeHttps : SchemeHttp),
        .. Literal(Path, path),
        .. Literal(Authority, address.Authority),
        .. Literal(ContentType, "application/grpc"),
        .. Literal("te", "trailers"),
        .. Literal("user-agent", "grpc-dotnet/2.85.0 (.NET 10.0.12; CLR 10.0.12; net10.0; linux; x64)"),
        .. Literal("grpc-accept-encoding", "identity,gzip,deflate"),
        .. timeout is null ? [] : Literal("grpc-timeout", timeout),
    ];

    public static byte[] Literal(string name, string value) => [0, .. Text(name), .. Text(value)];

    private static byte Indexed(int index) => (byte)(0x80 | index);

    private static byte[] Literal(int name, string value) => [.. Integer(name, prefixBits: 4), .. Text(value)];

    private static byte[] Text(string value) => [.. Integer(value.Length, prefixBits: 7), .. Encoding.ASCII.GetBytes(value)];

    /// <summary>What does not fit into the prefix follows in sevens of bits, the lowest first (RFC 7541 section 5.1).</summary>
    private static List<byte> Integer(int value, int prefixBits)
    {
        var largest = (1 << prefixBits) - 1;
        if (value < largest)
        {
            return [(byte)value];
        }

        List<byte> bytes = [(byte)largest];
        for (value -= largest; value >= 0x80; value >>= 7)
        {
            bytes.Add((byte)(value | 0x80));
        }

        bytes.Add((byte)value);
        return bytes;
    }
}
