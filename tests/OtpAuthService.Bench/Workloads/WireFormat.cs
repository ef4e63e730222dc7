namespace OtpAuthService.Bench.Workloads;

/// <summary>
/// As much of protobuf's wire format as the calls need. Google.Protobuf would make a message object and a buffer per call on both ends;
/// the load generator does without.
/// </summary>
internal static class WireFormat
{
    private const int Varint = 0;
    private const int LengthDelimited = 2;

    /// <returns>Bytes written.</returns>
    public static int WriteVarint(Span<byte> target, int field, uint value)
    {
        target[0] = (byte)((field << 3) | Varint);
        var length = 1;
        for (; value >= 0x80; value >>= 7)
        {
            target[length++] = (byte)(value | 0x80);
        }

        target[length++] = (byte)value;
        return length;
    }

    /// <summary>Tag and length of a text of up to 127 bytes; the text itself is written by the caller.</summary>
    public static Span<byte> BeginText(ref Span<byte> target, int field, int length)
    {
        target[0] = (byte)((field << 3) | LengthDelimited);
        target[1] = (byte)length;
        var text = target.Slice(2, length);
        target = target[(2 + length)..];
        return text;
    }

    /// <summary>Decimal digits with leading zeros.</summary>
    public static void WriteDigits(Span<byte> target, uint value)
    {
        for (var i = target.Length - 1; i >= 0; i--)
        {
            (value, var digit) = Math.DivRem(value, 10);
            target[i] = (byte)('0' + digit);
        }
    }

    /// <summary>Takes the next field; a length-delimited one is skipped and has the value 0.</summary>
    public static (int Field, ulong Value) TakeField(ref ReadOnlySpan<byte> message)
    {
        var tag = TakeVarint(ref message);
        var value = TakeVarint(ref message);
        if ((tag & 7) == LengthDelimited)
        {
            message = message[(int)value..];
            value = 0;
        }

        return ((int)(tag >> 3), value);
    }

    private static ulong TakeVarint(ref ReadOnlySpan<byte> message)
    {
        ulong value = 0;
        for (var shift = 0; ; shift += 7)
        {
            var next = message[0];
            message = message[1..];
            value |= (ulong)(next & 0x7F) << shift;
            if ((next & 0x80) == 0)
            {
                return value;
            }
        }
    }
}
