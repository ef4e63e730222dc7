using System.Collections.Concurrent;
using OtpAuthService.Client;

namespace OtpAuthService.Tests;

/// <summary>Callers that do not pause.</summary>
internal sealed class RunningCalls : IAsyncDisposable
{
    private readonly OtpAuthChannel channel;
    private readonly Task[] callers;
    private readonly ConcurrentBag<Exception> failures = [];
    private volatile bool stopped;

    public RunningCalls(string address, OtpAuthTls tls)
        : this(OtpAuthChannel.Create(address, tls))
    {
    }

    /// <summary>Over a channel, which is theirs from now on.</summary>
    public RunningCalls(OtpAuthChannel channel)
    {
        this.channel = channel;
        callers = [.. Enumerable.Range(0, 4).Select(_ => Task.Run(CallAsync))];
    }

    public async Task<IReadOnlyCollection<Exception>> StopAsync()
    {
        stopped = true;
        await Task.WhenAll(callers);
        return failures;
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        channel.Dispose();
    }

    private async Task CallAsync()
    {
        while (!stopped)
        {
            try
            {
                await channel.OtpAuth.VerifyAsync(new() { RequestId = RequestId.New() });
            }
            catch (Exception e)
            {
                failures.Add(e);
            }
        }
    }
}
