using System.Buffers.Binary;
using System.Buffers.Text;

namespace OtpAuthService.Events;

/// <summary>Where a reader of events is. Its text is the resume token.</summary>
/// <param name="Id">The number of the last event that was dealt with.</param>
/// <param name="EventId">Its name: the number alone may have been given to another one since.</param>
internal readonly record struct EventPosition(long Id, Guid EventId)
{
    private const int Size = sizeof(long) + 16;

    public static bool TryParse(string text, out EventPosition position)
    {
        position = default;
        Span<byte> bytes = stackalloc byte[Size];
        if (text.Length != Base64Url.GetEncodedLength(Size) || !Base64Url.TryDecodeFromChars(text, bytes, out var written) || written != Size)
        {
            return false;
        }

        position = new EventPosition(BinaryPrimitives.ReadInt64BigEndian(bytes), new Guid(bytes[sizeof(long)..]));
        return true;
    }

    public override string ToString()
    {
        Span<byte> bytes = stackalloc byte[Size];
        BinaryPrimitives.WriteInt64BigEndian(bytes, Id);
        EventId.TryWriteBytes(bytes[sizeof(long)..]);
        return Base64Url.EncodeToString(bytes);
    }
}
