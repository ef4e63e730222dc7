using System.Diagnostics;
using OtpAuthService.Bench.Client;
using OtpAuthService.Bench.Workloads;

namespace OtpAuthService.Bench.Measuring;

/// <summary>Calls for a while: a number of calls in flight, over a few connections, each answered call followed by the next.</summary>
internal static class LoadRun
{
    /// <summary>As front ends have them: few and long-lived. More than four only made both ends work more.</summary>
    private const int MostConnections = 4;

    private const int CallsPerConnection = 8;

    /// <summary>Calls that are not counted, and that the server may be too busy for.</summary>
    /// <returns>How many.</returns>
    public static long WarmUp(Endpoint endpoint, string method, IWorkload workload, int inFlight, TimeSpan duration) =>
        Run(new LoadWindow(isWarmUp: true), endpoint, method, workload, inFlight, duration, TimeSpan.Zero).Calls;

    public static LoadResult Run(
        Endpoint endpoint, string method, IWorkload workload, int inFlight, TimeSpan leadIn, TimeSpan counted) =>
        Run(new LoadWindow(isWarmUp: false), endpoint, method, workload, inFlight, leadIn, counted);

    private static LoadResult Run(
        LoadWindow window, Endpoint endpoint, string method, IWorkload workload, int inFlight, TimeSpan leadIn, TimeSpan counted)
    {
        var request = new RequestFrames(endpoint.Address, method);
        var connections = Math.Clamp(inFlight / CallsPerConnection, 1, MostConnections);
        Exception? failure = null;
        var runs = Enumerable.Range(0, connections)
            .Select(i => Start(endpoint, stream => new GrpcConnection(stream, request, workload, Share(inFlight, connections, i), window), Fail))
            .ToList();

        Wait(leadIn);
        window.Open();
        var began = Stopwatch.GetTimestamp();
        Wait(counted);
        var elapsed = Stopwatch.GetElapsedTime(began);
        window.Close();
        runs.ForEach(run => run.Thread.Join());
        if (failure is not null)
        {
            throw new LoadFailedException(failure.Message, failure);
        }

        return LoadResult.Of(runs.Select(run => run.Connection()!), elapsed);

        void Fail(Exception exception)
        {
            Interlocked.CompareExchange(ref failure, exception, null);
            window.Close();
        }

        // A failure ends the wait.
        void Wait(TimeSpan time)
        {
            for (var end = Stopwatch.GetTimestamp() + (time.TotalSeconds * Stopwatch.Frequency); Stopwatch.GetTimestamp() < end && !window.IsClosed;)
            {
                Thread.Sleep(TimeSpan.FromSeconds(Math.Clamp((end - Stopwatch.GetTimestamp()) / Stopwatch.Frequency, 0, 0.1)));
            }
        }
    }

    private static int Share(int inFlight, int connections, int index) => (inFlight / connections) + (index < inFlight % connections ? 1 : 0);

    private static (Thread Thread, Func<GrpcConnection?> Connection) Start(
        Endpoint endpoint, Func<Stream, GrpcConnection> create, Action<Exception> fail)
    {
        GrpcConnection? connection = null;
        var thread = new Thread(() =>
        {
            try
            {
                using var stream = endpoint.Open();
                connection = create(stream);
                connection.Run();
            }
            catch (Exception failure)
            {
                fail(failure);
            }
        });
        thread.Start();
        return (thread, () => connection);
    }
}

/// <summary>What a run of calls gave.</summary>
/// <param name="Calls">All calls, also those that were not counted.</param>
/// <param name="Counted">How long was counted.</param>
/// <param name="Latencies">Of the counted calls.</param>
internal sealed record LoadResult(long Calls, TimeSpan Counted, LatencyHistogram Latencies)
{
    public static LoadResult Of(IEnumerable<GrpcConnection> connections, TimeSpan counted)
    {
        var latencies = new LatencyHistogram();
        var calls = 0L;
        foreach (var connection in connections)
        {
            latencies.Add(connection.Latencies);
            calls += connection.Calls;
        }

        return new LoadResult(calls, counted, latencies);
    }
}
