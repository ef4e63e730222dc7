using System.Diagnostics;

namespace OtpAuthService.Bench.Measuring;

/// <summary>
/// When calls are counted. All connections call from the start, so that the servers are under way when counting begins, and stop when it
/// is closed.
/// </summary>
/// <param name="isWarmUp">Nothing will be counted: a server that is still compiling may say that it is UNAVAILABLE.</param>
internal sealed class LoadWindow(bool isWarmUp)
{
    private long from = long.MaxValue;
    private volatile bool closed;

    public bool IsWarmUp => isWarmUp;

    public bool IsClosed => closed;

    public void Open() => Volatile.Write(ref from, Stopwatch.GetTimestamp());

    public void Close() => closed = true;

    /// <summary>Counts a call that ends now.</summary>
    public void Count(LatencyHistogram latencies, long began)
    {
        var ended = Stopwatch.GetTimestamp();
        if (ended >= Volatile.Read(ref from) && !closed)
        {
            // Stopwatch ticks are nanoseconds on Linux.
            latencies.Add(Math.Max(ended - began, 0));
        }
    }
}
