using System.Diagnostics;

namespace OtpAuthService.Storage;

/// <summary>
/// Whether the database can decide right now. While it cannot, calls are refused at once instead of each waiting for its own
/// timeout, and those that wait in line are let go (promise P3).
/// </summary>
internal sealed class StoreAvailability : IDisposable
{
    private readonly Lock gate = new();
    private CancellationTokenSource outage = new();
    private long progressedAt;
    private string? problem = "the database has not been reached yet";

    /// <summary>Why nothing can be decided now; null while all is well.</summary>
    public string? Problem
    {
        get
        {
            lock (gate)
            {
                return problem;
            }
        }
    }

    /// <summary>Cancelled when the current spell of availability ends.</summary>
    public CancellationToken Outage
    {
        get
        {
            lock (gate)
            {
                return outage.Token;
            }
        }
    }

    /// <summary>Some work on the database was just completed.</summary>
    public void ReportProgress() => Volatile.Write(ref progressedAt, Stopwatch.GetTimestamp());

    public bool HasProgressedWithin(TimeSpan span) => Stopwatch.GetElapsedTime(Volatile.Read(ref progressedAt)) < span;

    /// <returns>True where this changed the state.</returns>
    public bool ReportProblem(string description)
    {
        CancellationTokenSource ended;
        lock (gate)
        {
            var changed = problem is null;
            problem = description;
            if (!changed)
            {
                return false;
            }

            ended = outage;
        }

        // Outside the lock: waiting calls run their continuations here.
        ended.Cancel();
        return true;
    }

    /// <inheritdoc cref="ReportProblem"/>
    public bool ReportWell()
    {
        lock (gate)
        {
            if (problem is null)
            {
                return false;
            }

            problem = null;
            // The old source is left to the collector: calls may still hold its token.
            outage = new CancellationTokenSource();
            return true;
        }
    }

    public void Dispose() => outage.Dispose();
}
