using System.Net.Sockets;

namespace OtpAuthService.Tests.Abuse;

/// <summary>
/// A client that sends what it is told to: bytes over a plain socket, with a reader that notes how the server takes it. It is polite in
/// one way only, it acknowledges SETTINGS and PING, because a server that waits for those would end it for another reason than its abuse.
/// </summary>
internal sealed class RawConnection : IAsyncDisposable
{
    private readonly Uri address;
    private readonly Socket socket;
    private readonly Reaction reaction;
    private readonly SemaphoreSlim sending = new(1);
    private readonly CancellationTokenSource over = new();
    private readonly TaskCompletionSource greeted = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Task reading = Task.CompletedTask;
    private int nextStream = 1;
    private volatile bool disposed;

    private RawConnection(Uri address, Socket socket, Reaction reaction)
    {
        this.address = address;
        this.socket = socket;
        this.reaction = reaction;
        Over = over.Token;
    }

    /// <summary>Cancelled when the server has ended the connection.</summary>
    public CancellationToken Over { get; }

    /// <summary>Frames to be sent next.</summary>
    public FrameWriter Frames { get; } = new();

    /// <summary>A stream id that was not used yet on this connection.</summary>
    public int NewStream() => (nextStream += 2) - 2;

    public byte[] Request(string path, string? timeout = "3S") => Hpack.GrpcRequest(address, path, timeout);

    /// <param name="address">Where; plaintext.</param>
    /// <param name="reaction">Gets what the server does.</param>
    /// <param name="reads">Whether anything is read of what the server sends.</param>
    public static async Task<RawConnection> OpenAsync(Uri address, Reaction reaction, bool reads = true)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(address.Host, address.Port);
        var connection = new RawConnection(address, socket, reaction);
        if (reads)
        {
            connection.reading = connection.ReadAsync();
        }
        else
        {
            connection.greeted.SetResult();
        }

        return connection;
    }

    /// <summary>
    /// The preface, with settings that have the server write its headers so that they can be read without state. Comes back when the
    /// server's own settings are acknowledged: between HEADERS and CONTINUATION the acknowledgement would be another abuse than the one meant.
    /// </summary>
    public async Task GreetAsync()
    {
        await SendAsync(Frame.Preface.ToArray());
        Frames.Settings((1, 0), (2, 0));
        await FlushAsync();
        await greeted.Task;
    }

    /// <summary>Sends what was collected.</summary>
    public async Task FlushAsync()
    {
        await SendAsync(Frames.Written);
        Frames.Clear();
    }

    /// <summary>Sends bytes; a server that has gone is noticed by the reader.</summary>
    public async Task SendAsync(ReadOnlyMemory<byte> bytes)
    {
        try
        {
            await sending.WaitAsync(Over);
            try
            {
                while (!bytes.IsEmpty)
                {
                    bytes = bytes[await socket.SendAsync(bytes, Over)..];
                }
            }
            finally
            {
                sending.Release();
            }
        }
        catch (Exception gone) when (gone is SocketException or OperationCanceledException)
        {
        }
    }

    /// <summary>Whether the server takes the bytes in this time.</summary>
    public async Task<bool> TrySendAsync(ReadOnlyMemory<byte> bytes, TimeSpan time)
    {
        using var patience = new CancellationTokenSource(time);
        try
        {
            while (!bytes.IsEmpty)
            {
                bytes = bytes[await socket.SendAsync(bytes, patience.Token)..];
            }

            return true;
        }
        catch (Exception stuck) when (stuck is SocketException or OperationCanceledException)
        {
            return false;
        }
    }

    public async ValueTask DisposeAsync()
    {
        disposed = true;
        socket.Dispose();
        await reading;
        over.Dispose();
        sending.Dispose();
    }

    private async Task ReadAsync()
    {
        var input = new byte[Frame.HeaderSize + (16 * 1024)];
        var filled = 0;
        try
        {
            while (await socket.ReceiveAsync(input.AsMemory(filled)) is > 0 and var count)
            {
                filled += count;
                var taken = await TakeFramesAsync(input.AsMemory(0, filled));
                input.AsSpan(taken, filled - taken).CopyTo(input);
                filled -= taken;
            }
        }
        catch (Exception gone) when (gone is SocketException or ObjectDisposedException)
        {
        }

        if (!disposed)
        {
            reaction.Note(Reaction.Closed);
        }

        greeted.TrySetResult();
        await over.CancelAsync();
    }

    /// <returns>How many bytes were whole frames.</returns>
    private async Task<int> TakeFramesAsync(ReadOnlyMemory<byte> input)
    {
        var taken = 0;
        var answers = new FrameWriter();
        while (input.Length - taken >= Frame.HeaderSize)
        {
            var frame = Frame.Read(input.Span[taken..]);
            var end = taken + Frame.HeaderSize + frame.Length;
            if (end > input.Length)
            {
                break;
            }

            var payload = input.Span[(taken + Frame.HeaderSize)..end];
            reaction.Note(frame, payload);
            _ = (frame.Type, frame.Has(Frame.Ack)) switch
            {
                (FrameType.Settings, false) => answers.SettingsAck(),
                (FrameType.Ping, false) => answers.Ping(ack: true, payload),
                _ => answers,
            };
            taken = end;
        }

        if (!answers.Written.IsEmpty)
        {
            await SendAsync(answers.Written);
            greeted.TrySetResult();
        }

        return taken;
    }
}
