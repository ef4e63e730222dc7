using System.Net;
using System.Net.Sockets;

namespace OtpAuthService.Tests.Fixtures;

/// <summary>A way to a service on which something happens once the service has said so much: the test says what, and whether the rest comes through.</summary>
internal sealed class HalfwayProxy : IAsyncDisposable
{
    private readonly TcpListener listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource stop = new();
    private readonly Uri service;
    private readonly long bytes;
    private readonly Func<Task<bool>> halfway;
    private readonly Task serving;

    /// <param name="service">The address of the service.</param>
    /// <param name="bytes">What it may say before.</param>
    /// <param name="halfway">What happens then; false: the connection ends there.</param>
    public HalfwayProxy(string service, long bytes, Func<Task<bool>> halfway)
    {
        this.service = new(service);
        this.bytes = bytes;
        this.halfway = halfway;
        listener.Start();
        serving = ServeAsync();
    }

    public string Address => $"http://{listener.LocalEndpoint}";

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync();
        await serving;
        listener.Dispose();
        stop.Dispose();
    }

    private async Task ServeAsync()
    {
        var connections = new List<Task>();
        try
        {
            while (true)
            {
                connections.Add(ForwardAsync(await listener.AcceptTcpClientAsync(stop.Token)));
            }
        }
        catch (OperationCanceledException)
        {
            await Task.WhenAll(connections);
        }
    }

    private async Task ForwardAsync(TcpClient caller)
    {
        using (caller)
        using (var called = new TcpClient())
        {
            await called.ConnectAsync(service.Host, service.Port);
            using var end = CancellationTokenSource.CreateLinkedTokenSource(stop.Token);
            try
            {
                await Task.WhenAny(caller.GetStream().CopyToAsync(called.GetStream(), end.Token), AnswerAsync(called.GetStream(), caller.GetStream(), end.Token));
            }
            finally
            {
                await end.CancelAsync();
            }
        }
    }

    private async Task AnswerAsync(NetworkStream from, NetworkStream to, CancellationToken cancellation)
    {
        var buffer = new byte[4096];
        var said = 0L;
        for (int read; (read = await from.ReadAsync(buffer, cancellation)) > 0; said += read)
        {
            if (said <= bytes && said + read > bytes && !await halfway())
            {
                return;
            }

            await to.WriteAsync(buffer.AsMemory(0, read), cancellation);
        }
    }
}
