using System.Net;
using System.Net.Sockets;

namespace OtpAuthService.Tests.Fixtures;

/// <summary>The way to a replica that is gone when it is about to answer: what it says next is lost, and nobody listens any more.</summary>
internal sealed class LostAnswer : IAsyncDisposable
{
    private readonly TcpListener listener;
    private readonly IPEndPoint replica;
    private readonly CancellationTokenSource gone = new();
    private readonly Task serving;
    private int connections;
    private volatile Func<bool>? losing;

    /// <param name="at">Where the replica seems to listen, on a free port.</param>
    /// <param name="replica">Its address.</param>
    public LostAnswer(IPAddress at, string replica)
    {
        listener = new(at, 0);
        this.replica = IPEndPoint.Parse(new Uri(replica).Authority);
        listener.Start();
        serving = ServeAsync();
    }

    public EndPoint Address => listener.LocalEndpoint;

    public bool IsConnected => Volatile.Read(ref connections) > 0;

    public bool IsGone => gone.IsCancellationRequested;

    /// <summary>From now on what the replica says is lost, and with it the replica, where the function says so.</summary>
    public void Lose(Func<bool> when) => losing = when;

    public async ValueTask DisposeAsync()
    {
        await gone.CancelAsync();
        await serving;
        gone.Dispose();
    }

    private async Task ServeAsync()
    {
        var connected = new List<Task>();
        try
        {
            while (true)
            {
                connected.Add(ForwardAsync(await listener.AcceptTcpClientAsync(gone.Token)));
            }
        }
        catch (OperationCanceledException)
        {
            listener.Dispose();
            await Task.WhenAll(connected);
        }
    }

    private async Task ForwardAsync(TcpClient caller)
    {
        using (caller)
        using (var called = new TcpClient())
        {
            await called.ConnectAsync(replica);
            Interlocked.Increment(ref connections);
            try
            {
                await await Task.WhenAny(caller.GetStream().CopyToAsync(called.GetStream(), gone.Token), AnswerAsync(called.GetStream(), caller.GetStream()));
            }
            catch (Exception e) when (e is IOException or OperationCanceledException)
            {
                // One of the two has hung up.
            }
        }
    }

    private async Task AnswerAsync(NetworkStream from, NetworkStream to)
    {
        var buffer = new byte[4096];
        for (int read; (read = await from.ReadAsync(buffer, gone.Token)) > 0;)
        {
            if (losing?.Invoke() == true)
            {
                await gone.CancelAsync();
                return;
            }

            await to.WriteAsync(buffer.AsMemory(0, read), gone.Token);
        }
    }
}
