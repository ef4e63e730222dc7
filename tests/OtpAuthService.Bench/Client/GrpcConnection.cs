using System.Buffers.Binary;
using System.Diagnostics;
using System.Text;
using OtpAuthService.Bench.Measuring;
using OtpAuthService.Bench.Workloads;
using OtpAuthService.Tests.Abuse;

namespace OtpAuthService.Bench.Client;

/// <summary>
/// One HTTP/2 connection that keeps a number of gRPC calls in flight, on one thread with blocking I/O: everything that has arrived is
/// handled, then everything new is sent in one write. The load generator shares the machine with the servers it measures, so what it does
/// not do matters: no tasks, no timers, no allocation per call. It knows what grpc-dotnet's server sends, and fails loudly on anything else.
/// </summary>
/// <param name="stream">To the server; plain or TLS.</param>
/// <param name="request">How a call looks.</param>
/// <param name="workload">What is called, and what must be answered.</param>
/// <param name="inFlight">Calls under way at once; fewer than the 100 that Kestrel takes per connection.</param>
internal sealed class GrpcConnection(Stream stream, RequestFrames request, IWorkload workload, int inFlight, LoadWindow window)
{
    /// <summary>Largest window that can be granted (RFC 9113 section 6.9.1): then the server never waits for us.</summary>
    private const int LargestWindow = int.MaxValue;

    private const int FirstWindow = 65_535;

    /// <summary>Slots for calls, found by stream id. A call that outlasts this many others of its connection has not just been slow.</summary>
    private const int Slots = 1 << 14;

    /// <summary>grpc-status: 0, as a literal without Huffman coding; that is how Kestrel writes it where no dynamic table is allowed.</summary>
    private static ReadOnlySpan<byte> StatusOk => "\u000bgrpc-status\u00010"u8;

    private static ReadOnlySpan<byte> StatusUnavailable => "\u000bgrpc-status\u000214"u8;

    private readonly Pending[] pending = new Pending[Slots];
    private readonly byte[] input = new byte[128 * 1024];
    private readonly byte[] output = new byte[4096 + (inFlight * request.LargestSize)];
    private int inputStart, inputEnd, outputEnd;
    private int nextStream = 1;
    private int waiting;
    private int toStart = inFlight;
    private long sendWindow = FirstWindow;
    private long received;

    /// <summary>Latencies of the calls that ended within the window, in nanoseconds.</summary>
    public LatencyHistogram Latencies { get; } = new();

    /// <summary>All calls, also those before and after the window.</summary>
    public long Calls { get; private set; }

    /// <summary>Calls until the window is closed, then waits for what is under way.</summary>
    /// <exception cref="LoadFailedException">A call failed or was answered wrongly, or the server did what this client does not expect.</exception>
    public void Run()
    {
        Open();
        while (true)
        {
            while (toStart > 0 && sendWindow >= request.LargestSize && !window.IsClosed)
            {
                StartCall();
            }

            Flush();
            if (waiting == 0 && window.IsClosed)
            {
                return;
            }

            Receive();
            while (TryTakeFrame(out var frame, out var payload))
            {
                Handle(frame, payload);
            }
        }
    }

    private void Open()
    {
        Frame.Preface.CopyTo(output);
        outputEnd = Frame.Preface.Length;
        // The server is to keep no header table for us, not to push, and to send as much as it likes.
        ReadOnlySpan<(ushort Setting, int Value)> settings = [(1, 0), (2, 0), (4, LargestWindow)];
        var payload = Append(FrameType.Settings, settings.Length * 6, flags: 0);
        foreach (var (setting, value) in settings)
        {
            BinaryPrimitives.WriteUInt16BigEndian(payload, setting);
            BinaryPrimitives.WriteInt32BigEndian(payload[2..], value);
            payload = payload[6..];
        }

        GrantWindow(LargestWindow - FirstWindow);
    }

    private void StartCall()
    {
        ref var slot = ref pending[SlotOf(nextStream)];
        if (slot.Stream != 0)
        {
            throw new LoadFailedException($"A call is unanswered after {Slots:N0} others of its connection.");
        }

        var (written, data) = request.Write(output.AsSpan(outputEnd), nextStream, workload, out var call);
        outputEnd += written;
        sendWindow -= data;
        slot = new Pending { Stream = nextStream, Call = call, Began = Stopwatch.GetTimestamp() };
        // A billion calls per connection: every measurement opens new ones long before that.
        nextStream = checked(nextStream + 2);
        toStart--;
        waiting++;
    }

    private void Flush()
    {
        if (outputEnd > 0)
        {
            stream.Write(output, 0, outputEnd);
            outputEnd = 0;
        }
    }

    private void Receive()
    {
        input.AsSpan(inputStart, inputEnd - inputStart).CopyTo(input);
        inputEnd -= inputStart;
        inputStart = 0;
        var count = stream.Read(input, inputEnd, input.Length - inputEnd);
        if (count == 0)
        {
            throw new LoadFailedException("The server closed the connection.");
        }

        inputEnd += count;
    }

    private bool TryTakeFrame(out Frame frame, out ReadOnlySpan<byte> payload)
    {
        frame = default;
        payload = default;
        var available = input.AsSpan(inputStart, inputEnd - inputStart);
        if (available.Length < Frame.HeaderSize)
        {
            return false;
        }

        frame = Frame.Read(available);
        if (available.Length < Frame.HeaderSize + frame.Length)
        {
            return false;
        }

        payload = available.Slice(Frame.HeaderSize, frame.Length);
        inputStart += Frame.HeaderSize + frame.Length;
        return true;
    }

    private void Handle(Frame frame, ReadOnlySpan<byte> payload)
    {
        switch (frame.Type)
        {
            case FrameType.Data:
                TakeData(frame, payload);
                break;
            case FrameType.Headers:
                TakeHeaders(frame, payload);
                break;
            case FrameType.Settings:
                if (!frame.Has(Frame.Ack))
                {
                    Append(FrameType.Settings, 0, Frame.Ack);
                }

                break;
            case FrameType.Ping:
                if (!frame.Has(Frame.Ack))
                {
                    payload.CopyTo(Append(FrameType.Ping, payload.Length, Frame.Ack));
                }

                break;
            case FrameType.WindowUpdate:
                sendWindow += frame.Stream == 0 ? BinaryPrimitives.ReadInt32BigEndian(payload) : 0;
                break;
            default:
                throw new LoadFailedException($"The server sent {frame.Type} on stream {frame.Stream}: {Convert.ToHexString(payload)}.");
        }
    }

    private void TakeData(Frame frame, ReadOnlySpan<byte> payload)
    {
        const int Prefix = 5;
        Require(!frame.Has(Frame.Padded) && !frame.Has(Frame.EndStream), "DATA without padding, followed by trailers");
        Require(
            payload.Length >= Prefix && payload[0] == 0 && BinaryPrimitives.ReadInt32BigEndian(payload[1..]) == payload.Length - Prefix,
            "one uncompressed message in one DATA frame");
        ref var slot = ref Find(frame.Stream);
        slot.HasAnswer = true;
        if (workload.FindFault(slot.Call, payload[Prefix..]) is { } fault)
        {
            throw new LoadFailedException(fault);
        }

        received += frame.Length;
        if (received > LargestWindow / 2)
        {
            GrantWindow((int)received);
            received = 0;
        }
    }

    private void TakeHeaders(Frame frame, ReadOnlySpan<byte> block)
    {
        Require(frame.Has(Frame.EndHeaders) && !frame.Has(Frame.Padded), "HEADERS in one frame without padding");
        if (!frame.Has(Frame.EndStream))
        {
            // :status 200, where nothing is wrong yet; what is wrong is told by the trailers.
            return;
        }

        ref var slot = ref Find(frame.Stream);
        var succeeded = slot.HasAnswer && block.IndexOf(StatusOk) >= 0;
        if (!succeeded && !(window.IsWarmUp && block.IndexOf(StatusUnavailable) >= 0))
        {
            throw new LoadFailedException($"A call failed: {Printable(block)}");
        }

        window.Count(Latencies, slot.Began);
        slot.Stream = 0;
        Calls++;
        waiting--;
        toStart++;
    }

    private ref Pending Find(int stream)
    {
        ref var slot = ref pending[SlotOf(stream)];
        Require(slot.Stream == stream, "answers to calls that are under way");
        return ref slot;
    }

    private static int SlotOf(int stream) => (stream >> 1) & (Slots - 1);

    private void GrantWindow(int increment) =>
        BinaryPrimitives.WriteInt32BigEndian(Append(FrameType.WindowUpdate, sizeof(int), flags: 0), increment);

    /// <summary>Adds a frame of the connection itself to the output, and returns where its payload goes.</summary>
    private Span<byte> Append(FrameType type, int length, byte flags)
    {
        Frame.WriteHeader(output.AsSpan(outputEnd), length, type, flags, stream: 0);
        var payload = output.AsSpan(outputEnd + Frame.HeaderSize, length);
        outputEnd += Frame.HeaderSize + length;
        return payload;
    }

    private static void Require(bool holds, string expectation)
    {
        if (!holds)
        {
            throw new LoadFailedException($"This client expects {expectation}.");
        }
    }

    /// <summary>The readable parts of a header block: enough to see grpc-status and grpc-message.</summary>
    private static string Printable(ReadOnlySpan<byte> block) =>
        string.Concat(Encoding.Latin1.GetString(block).Select(c => char.IsBetween(c, ' ', '~') ? c : ' '));

    /// <summary>A call under way; a stream of 0 is a free slot.</summary>
    private struct Pending
    {
        public int Stream;
        public Call Call;
        public long Began;
        public bool HasAnswer;
    }
}
