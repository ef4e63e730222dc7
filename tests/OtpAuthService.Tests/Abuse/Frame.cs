using System.Buffers.Binary;

namespace OtpAuthService.Tests.Abuse;

/// <summary>The nine bytes before every HTTP/2 frame (RFC 9113 section 4.1).</summary>
internal readonly record struct Frame(int Length, FrameType Type, byte Flags, int Stream)
{
    public const int HeaderSize = 9;

    /// <summary>Sent by the client before its first frame (section 3.4).</summary>
    public static ReadOnlySpan<byte> Preface => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8;

    /// <summary>Flag of HEADERS and DATA.</summary>
    public const byte EndStream = 0x1;

    /// <summary>Flag of SETTINGS and PING; the same bit as <see cref="EndStream"/>.</summary>
    public const byte Ack = 0x1;

    public const byte EndHeaders = 0x4;
    public const byte Padded = 0x8;

    public bool Has(byte flag) => (Flags & flag) != 0;

    public static Frame Read(ReadOnlySpan<byte> header) => new(
        (header[0] << 16) | BinaryPrimitives.ReadUInt16BigEndian(header[1..]),
        (FrameType)header[3],
        header[4],
        BinaryPrimitives.ReadInt32BigEndian(header[5..]) & int.MaxValue);

    public static void WriteHeader(Span<byte> target, int length, FrameType type, byte flags, int stream)
    {
        target[0] = (byte)(length >> 16);
        BinaryPrimitives.WriteUInt16BigEndian(target[1..], (ushort)length);
        target[3] = (byte)type;
        target[4] = flags;
        WriteStream(target, stream);
    }

    public static void WriteStream(Span<byte> target, int stream) => BinaryPrimitives.WriteInt32BigEndian(target[5..], stream);
}

/// <summary>RFC 9113 section 6.</summary>
internal enum FrameType : byte
{
    Data = 0,
    Headers = 1,
    ResetStream = 3,
    Settings = 4,
    Ping = 6,
    GoAway = 7,
    WindowUpdate = 8,
    Continuation = 9,
}

/// <summary>RFC 9113 section 7.</summary>
internal enum ErrorCode
{
    NoError = 0,
    ProtocolError = 1,
    InternalError = 2,
    FlowControlError = 3,
    SettingsTimeout = 4,
    StreamClosed = 5,
    FrameSizeError = 6,
    RefusedStream = 7,
    Cancel = 8,
    CompressionError = 9,
    ConnectError = 10,
    EnhanceYourCalm = 11,
}
