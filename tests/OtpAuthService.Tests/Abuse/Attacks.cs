namespace OtpAuthService.Tests.Abuse;

/// <summary>The attacks, each bounded in rate and connections.</summary>
internal static class Attacks
{
    private const string Unary = "/otpauth.v1.OtpAuth/GetRequirement";
    private const string Import = "/otpauth.v1.OtpOperations/ImportCredentials";

    /// <summary>As many as the server allows at once.</summary>
    private const int Streams = 100;

    private static readonly TimeSpan Beat = TimeSpan.FromMilliseconds(20);

    public static IReadOnlyList<Attack> All { get; } =
    [
        new("rapid-reset", "HEADERS and RST_STREAM of a stream", 1, 2_000, (connection, rate, stop) => AtRateAsync(rate, n => OpenAndReset(connection, n), stop)),
        new("reset-burst", "HEADERS and RST_STREAM, 5,000 pairs in one write", 1, 1, (connection, rate, stop) => EveryAsync(TimeSpan.FromSeconds(1.0 / rate), () => OpenAndReset(connection, 5_000), stop)),
        new("ping-flood", "PING", 1, 10_000, (connection, rate, stop) => AtRateAsync(connection, rate, n => Repeat(n, () => connection.Frames.Ping()), stop)),
        new("settings-flood", "SETTINGS with another window size", 1, 5_000, SettingsFlood),
        new("empty-data", "DATA without a byte, on one stream", 1, 10_000, EmptyData),
        new("window-update", "WINDOW_UPDATE by 1", 1, 10_000, (connection, rate, stop) => AtRateAsync(connection, rate, n => Repeat(n, () => connection.Frames.WindowUpdate(stream: 0, 1)), stop)),
        new("zero-window-update", "WINDOW_UPDATE by 0", 1, 1_000, (connection, rate, stop) => AtRateAsync(connection, rate, n => Repeat(n, () => connection.Frames.WindowUpdate(stream: 0, 0)), stop)),
        new("continuation-flood", "HEADERS, then CONTINUATION frames of 1 KiB without end", 1, 1_000, (connection, rate, stop) => ContinuationFlood(connection, rate, Padding(1_000), stop)),
        new("empty-continuation", "HEADERS, then CONTINUATION frames without a byte", 1, 5_000, (connection, rate, stop) => ContinuationFlood(connection, rate, [], stop)),
        new("slow-headers", "HEADERS, then a header of a few bytes in a CONTINUATION frame every second", 10, 1, SlowHeaders),
        new("slow-preface", "a byte of the preface every second", 200, 1, SlowPreface, Greets: false),
        new("idle-streams", "100 calls on a connection, of which the message never comes", 10, 0, (connection, _, _) => OpenStreamsAsync(connection, Unary, "3600S", Streams)),
        new("idle-imports", "100 imports on a connection, of which nothing ever comes", 5, 0, (connection, _, _) => OpenStreamsAsync(connection, Import, null, Streams)),
        new("slow-body", "100 calls on a connection, each with a byte of its message every second", 5, 1, SlowBody),
        new("large-header", "HEADERS and CONTINUATION frames with a header of 60,000 bytes", 1, 20, LargeHeader),
        new("large-message", "a message that says it has 5 MiB, and its first 16 KiB", 1, 100, LargeMessage),
        new("too-many-streams", "300 calls at once without their message, again every second", 1, 1, TooManyStreams),
        new("many-connections", "a connection that does nothing", 1_100, 0, (_, _, _) => Task.CompletedTask),
    ];

    public static Attack Named(string name) => All.Single(attack => attack.Name == name);

    private static Task SettingsFlood(RawConnection connection, int rate, CancellationToken stop)
    {
        var window = 0;
        return AtRateAsync(connection, rate, n => Repeat(n, () => connection.Frames.Settings((4, 65_535 + (++window & 1023)))), stop);
    }

    private static Task EmptyData(RawConnection connection, int rate, CancellationToken stop)
    {
        var stream = connection.NewStream();
        connection.Frames.Headers(stream, connection.Request(Unary));
        return AtRateAsync(connection, rate, n => Repeat(n, () => connection.Frames.Data(stream, [])), stop);
    }

    private static Task ContinuationFlood(RawConnection connection, int rate, byte[] block, CancellationToken stop)
    {
        var stream = connection.NewStream();
        connection.Frames.Headers(stream, connection.Request(Unary), flags: 0);
        return AtRateAsync(connection, rate, n => Repeat(n, () => connection.Frames.Continuation(stream, block)), stop);
    }

    private static Task SlowHeaders(RawConnection connection, int rate, CancellationToken stop)
    {
        var stream = connection.NewStream();
        connection.Frames.Headers(stream, connection.Request(Unary), flags: 0);
        return EveryAsync(TimeSpan.FromSeconds(1.0 / rate), async () =>
        {
            connection.Frames.Continuation(stream, Hpack.Literal("x", "y"));
            await connection.FlushAsync();
        }, stop);
    }

    private static async Task SlowPreface(RawConnection connection, int rate, CancellationToken stop)
    {
        var sent = 0;
        await EveryAsync(
            TimeSpan.FromSeconds(1.0 / rate), () => connection.SendAsync(sent < Frame.Preface.Length ? Frame.Preface.Slice(sent++, 1).ToArray() : default), stop);
    }

    private static async Task SlowBody(RawConnection connection, int rate, CancellationToken stop)
    {
        var streams = await OpenStreamsAsync(connection, Unary, "3600S", Streams);
        var message = FrameWriter.GrpcPrefix(1_000);
        var sent = 0;
        await EveryAsync(TimeSpan.FromSeconds(1.0 / rate), async () =>
        {
            var next = sent < message.Length ? message[sent] : (byte)0;
            sent++;
            streams.ForEach(stream => connection.Frames.Data(stream, [next]));
            await connection.FlushAsync();
        }, stop);
    }

    private static Task LargeHeader(RawConnection connection, int rate, CancellationToken stop) => AtRateAsync(connection, rate, n => Repeat(n, () =>
    {
        var stream = connection.NewStream();
        connection.Frames.Headers(stream, connection.Request(Unary), flags: 0);
        foreach (var part in Padding(60_000).Chunk(16 * 1024))
        {
            connection.Frames.Continuation(stream, part);
        }
    }), stop);

    private static Task LargeMessage(RawConnection connection, int rate, CancellationToken stop) => AtRateAsync(connection, rate, n => Repeat(n, () =>
    {
        var stream = connection.NewStream();
        byte[] start = [.. FrameWriter.GrpcPrefix(5 * 1024 * 1024), .. new byte[(16 * 1024) - 5]];
        connection.Frames.Headers(stream, connection.Request(Unary)).Data(stream, start);
    }), stop);

    private static Task TooManyStreams(RawConnection connection, int rate, CancellationToken stop) =>
        EveryAsync(TimeSpan.FromSeconds(1.0 / rate), () => OpenStreamsAsync(connection, Unary, "3S", 3 * Streams), stop);

    private static async Task<List<int>> OpenStreamsAsync(RawConnection connection, string path, string? timeout, int count)
    {
        var (streams, block) = (new List<int>(count), connection.Request(path, timeout));
        Repeat(count, () =>
        {
            streams.Add(connection.NewStream());
            connection.Frames.Headers(streams[^1], block);
        });
        await connection.FlushAsync();
        return streams;
    }

    private static async Task OpenAndReset(RawConnection connection, int count)
    {
        var block = connection.Request(Unary);
        Repeat(count, () =>
        {
            var stream = connection.NewStream();
            connection.Frames.Headers(stream, block).ResetStream(stream, ErrorCode.Cancel);
        });
        await connection.FlushAsync();
    }

    /// <summary>A literal header that adds nothing but its size.</summary>
    private static byte[] Padding(int length) => Hpack.Literal("x-padding", new string('x', length));

    private static void Repeat(int count, Action act)
    {
        for (var i = 0; i < count; i++)
        {
            act();
        }
    }

    /// <summary>Collects so much on every beat that the rate comes out, and sends it in one write.</summary>
    private static Task AtRateAsync(RawConnection connection, int perSecond, Action<int> collect, CancellationToken stop) =>
        AtRateAsync(
            perSecond,
            async count =>
            {
                collect(count);
                await connection.FlushAsync();
            },
            stop);

    private static Task AtRateAsync(int perSecond, Func<int, Task> send, CancellationToken stop)
    {
        var due = 0.0;
        return EveryAsync(Beat, BeatAsync, stop);

        async Task BeatAsync()
        {
            due += perSecond * Beat.TotalSeconds;
            var count = (int)due;
            due -= count;
            if (count > 0)
            {
                await send(count);
            }
        }
    }

    private static async Task EveryAsync(TimeSpan period, Func<Task> act, CancellationToken stop)
    {
        using var timer = new PeriodicTimer(period);
        do
        {
            await act();
        }
        while (await timer.WaitForNextTickAsync(stop));
    }
}
