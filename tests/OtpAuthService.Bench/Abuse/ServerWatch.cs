using System.Globalization;
using OtpAuthService.Bench.Lab;

namespace OtpAuthService.Bench.Abuse;

/// <summary>
/// A server's resident memory and open connections, from the operating system, with their peaks. Watching costs a little itself, so it goes
/// on while nothing happens too.
/// </summary>
internal sealed class ServerWatch : IAsyncDisposable
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(200);

    private readonly MeasuredServer server;
    private readonly CancellationTokenSource stop = new();
    private readonly Task watching;

    private ServerWatch(MeasuredServer server)
    {
        this.server = server;
        Peak = Read(server);
        watching = WatchAsync();
    }

    /// <summary>Since it was forgotten last.</summary>
    public Reading Peak { get; private set; }

    public void ForgetPeak() => Peak = default;

    public static ServerWatch Begin(MeasuredServer server) => new(server);

    public static Reading Read(MeasuredServer server) => new(ResidentBytes(server.ProcessId), OpenConnections(server.Plain.Address.Port));

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync();
        await watching;
        stop.Dispose();
    }

    private async Task WatchAsync()
    {
        while (!stop.IsCancellationRequested)
        {
            var now = Read(server);
            Peak = new Reading(Math.Max(Peak.Resident, now.Resident), Math.Max(Peak.Connections, now.Connections));
            await Task.Delay(Interval, stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private static long ResidentBytes(int process)
    {
        var line = File.ReadLines($"/proc/{process}/status").First(l => l.StartsWith("VmRSS:", StringComparison.Ordinal));
        return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) * 1024;
    }

    /// <summary>Established (01) on the server's side; addresses and ports stand there in hexadecimal (proc_net_tcp).</summary>
    private static int OpenConnections(int port)
    {
        var local = $":{port:X4}";
        return File.ReadLines("/proc/net/tcp").Skip(1)
            .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            .Count(fields => fields[1].EndsWith(local, StringComparison.Ordinal) && fields[3] == "01");
    }

    /// <param name="Resident">Bytes.</param>
    /// <param name="Connections">On the port for calls.</param>
    public readonly record struct Reading(long Resident, int Connections);
}
