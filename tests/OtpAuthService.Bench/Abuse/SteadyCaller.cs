using System.Diagnostics;
using Grpc.Core;
using OtpAuthService.Bench.Client;
using OtpAuthService.Bench.Measuring;
using OtpAuthService.Bench.Populations;
using OtpAuthService.Client;
using OtpAuthService.V1;

namespace OtpAuthService.Bench.Abuse;

/// <summary>
/// The caller who does nothing wrong: the shipped client, at a fixed rate whatever the answers do (open loop). A latency begins when its call
/// was due, so that a server that stands still is seen by all the calls that should have been made meanwhile.
/// </summary>
internal sealed class SteadyCaller : IAsyncDisposable
{
    public const int CallsPerSecond = 200;

    private readonly OtpAuthChannel channel;
    private readonly int contractors;
    private readonly Thread pacemaker;
    private readonly Lock gate = new();
    private volatile bool stopped;
    private LatencyHistogram latencies = new();
    private int underWay;
    private volatile string? failure;

    public SteadyCaller(Endpoint endpoint, int contractors)
    {
        channel = OtpAuthChannel.Create(endpoint.Address.ToString());
        this.contractors = contractors;
        pacemaker = new Thread(Pace) { IsBackground = true };
        pacemaker.Start();
    }

    /// <summary>What came of the calls that ended in this time.</summary>
    /// <exception cref="LoadFailedException">A call failed or was answered wrongly.</exception>
    public async Task<LatencyHistogram> MeasureAsync(TimeSpan time)
    {
        Take();
        await Task.Delay(time);
        var measured = Take();
        return failure is { } why ? throw new LoadFailedException(why) : measured;
    }

    public async ValueTask DisposeAsync()
    {
        stopped = true;
        pacemaker.Join();
        while (Volatile.Read(ref underWay) > 0)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(10));
        }

        channel.Dispose();
    }

    private LatencyHistogram Take()
    {
        lock (gate)
        {
            var taken = latencies;
            latencies = new LatencyHistogram();
            return taken;
        }
    }

    private void Pace()
    {
        var period = Stopwatch.Frequency / CallsPerSecond;
        var contractor = 0;
        for (var due = Stopwatch.GetTimestamp(); !stopped; due += period)
        {
            var early = Stopwatch.GetElapsedTime(Stopwatch.GetTimestamp(), due);
            if (early > TimeSpan.Zero)
            {
                // Rounded up: a call before it is due would have a latency below 0.
                Thread.Sleep((int)Math.Ceiling(early.TotalMilliseconds));
            }

            Interlocked.Increment(ref underWay);
            _ = CallAsync(Population.ContractorId(contractor++ % contractors), due);
        }
    }

    private async Task CallAsync(string contractor, long due)
    {
        try
        {
            var answer = await channel.OtpAuth.GetRequirementAsync(new GetRequirementRequest
            {
                InstitutionId = Population.Institution, ContractorId = contractor, Channel = Channel.PcBrowser,
            });
            if (answer.Requirement != Requirement.Required)
            {
                failure ??= $"A well-behaved call was answered {answer.Requirement}.";
            }
        }
        catch (RpcException error)
        {
            failure ??= $"A well-behaved call failed: {error.Status}";
        }

        finally
        {
            Interlocked.Decrement(ref underWay);
        }

        var took = Stopwatch.GetElapsedTime(due);
        lock (gate)
        {
            latencies.Add((long)took.TotalNanoseconds);
        }
    }
}
