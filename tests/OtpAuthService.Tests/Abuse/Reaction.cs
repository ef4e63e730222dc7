using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Text;

namespace OtpAuthService.Tests.Abuse;

/// <summary>What a server did with attackers: noted from the frames it sent, and from the end of its connections.</summary>
internal sealed class Reaction
{
    private readonly ConcurrentDictionary<string, int> seen = new();

    /// <summary>Each thing it did, in words, with how often.</summary>
    public IReadOnlyDictionary<string, int> Seen => seen;

    public bool Has(string what) => seen.ContainsKey(what);

    public static string GoAway(ErrorCode code) => $"GOAWAY {code}";

    public static string Reset(ErrorCode code) => $"RST {code}";

    public static string Status(Grpc.Core.StatusCode code) => $"status {code}";

    public const string Closed = "closed";
    public const string PingAnswered = "PING answered";
    public const string SettingsAnswered = "SETTINGS answered";

    public void Note(string what) => seen.AddOrUpdate(what, 1, (_, count) => count + 1);

    public void Note(Frame frame, ReadOnlySpan<byte> payload)
    {
        switch (frame.Type)
        {
            case FrameType.GoAway:
                Note(GoAway((ErrorCode)BinaryPrimitives.ReadInt32BigEndian(payload[4..])));
                break;
            case FrameType.ResetStream:
                Note(Reset((ErrorCode)BinaryPrimitives.ReadInt32BigEndian(payload)));
                break;
            case FrameType.Headers when frame.Has(Frame.EndStream):
                Note(StatusIn(payload));
                break;
            case FrameType.Ping when frame.Has(Frame.Ack):
                Note(PingAnswered);
                break;
            case FrameType.Settings when frame.Has(Frame.Ack):
                Note(SettingsAnswered);
                break;
        }
    }

    /// <summary>Answers to PING and SETTINGS are what they are due; the rest is worth a word.</summary>
    public override string ToString()
    {
        var told = seen.Where(s => s.Key is not (PingAnswered or SettingsAnswered)).OrderBy(s => s.Key, StringComparer.Ordinal).ToList();
        return told.Count == 0 ? "let be" : string.Join(", ", told.Select(s => s.Value == 1 ? s.Key : $"{s.Key} × {s.Value:N0}"));
    }

    /// <summary>Kestrel writes trailers as literals without Huffman coding where no dynamic table is allowed.</summary>
    private static string StatusIn(ReadOnlySpan<byte> block)
    {
        var name = "grpc-status"u8;
        var at = block.IndexOf(name);
        if (at < 0)
        {
            return "answer without grpc-status";
        }

        var value = block[(at + name.Length)..];
        var digits = Encoding.ASCII.GetString(value.Slice(1, value[0]));
        return Status((Grpc.Core.StatusCode)int.Parse(digits, System.Globalization.CultureInfo.InvariantCulture));
    }
}
