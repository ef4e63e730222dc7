using System.Buffers;
using System.Buffers.Binary;

namespace OtpAuthService.Tests.Abuse;

/// <summary>Collects frames, right ones and wrong ones, to be sent in one write.</summary>
internal sealed class FrameWriter
{
    private readonly ArrayBufferWriter<byte> buffer = new();

    public ReadOnlyMemory<byte> Written => buffer.WrittenMemory;

    public void Clear() => buffer.ResetWrittenCount();

    public FrameWriter Headers(int stream, ReadOnlySpan<byte> block, byte flags = Frame.EndHeaders) => Add(FrameType.Headers, flags, stream, block);

    public FrameWriter Continuation(int stream, ReadOnlySpan<byte> block) => Add(FrameType.Continuation, flags: 0, stream, block);

    public FrameWriter Data(int stream, ReadOnlySpan<byte> data, byte flags = 0) => Add(FrameType.Data, flags, stream, data);

    public FrameWriter ResetStream(int stream, ErrorCode code) => Add(FrameType.ResetStream, flags: 0, stream, Number((int)code));

    public FrameWriter WindowUpdate(int stream, int increment) => Add(FrameType.WindowUpdate, flags: 0, stream, Number(increment));

    public FrameWriter Ping(bool ack = false, ReadOnlySpan<byte> payload = default) =>
        Add(FrameType.Ping, ack ? Frame.Ack : (byte)0, stream: 0, payload.IsEmpty ? "abusive!"u8 : payload);

    public FrameWriter SettingsAck() => Add(FrameType.Settings, Frame.Ack, stream: 0, []);

    public FrameWriter Settings(params ReadOnlySpan<(int Setting, int Value)> settings)
    {
        Span<byte> payload = stackalloc byte[settings.Length * 6];
        for (var i = 0; i < settings.Length; i++)
        {
            BinaryPrimitives.WriteUInt16BigEndian(payload[(i * 6)..], (ushort)settings[i].Setting);
            BinaryPrimitives.WriteInt32BigEndian(payload[((i * 6) + 2)..], settings[i].Value);
        }

        return Add(FrameType.Settings, flags: 0, stream: 0, payload);
    }

    /// <summary>Five bytes that gRPC puts before a message: not compressed, and so long.</summary>
    public static byte[] GrpcPrefix(int length) => [0, .. Number(length)];

    private static byte[] Number(int value)
    {
        var bytes = new byte[sizeof(int)];
        BinaryPrimitives.WriteInt32BigEndian(bytes, value);
        return bytes;
    }

    private FrameWriter Add(FrameType type, byte flags, int stream, ReadOnlySpan<byte> payload)
    {
        var target = buffer.GetSpan(Frame.HeaderSize + payload.Length);
        Frame.WriteHeader(target, payload.Length, type, flags, stream);
        payload.CopyTo(target[Frame.HeaderSize..]);
        buffer.Advance(Frame.HeaderSize + payload.Length);
        return this;
    }
}
