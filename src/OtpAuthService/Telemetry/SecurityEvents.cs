using System.Collections.Concurrent;
using System.Diagnostics;

namespace OtpAuthService.Telemetry;

/// <summary>What a bank's security staff want to know of: refused identities and rights, and signs of guessing. Counted always, logged within measure.</summary>
internal sealed class SecurityEvents(Instruments instruments, ILogger<SecurityEvents> log)
{
    /// <summary>Of the same event and caller: a caller that is refused a thousand times a second must not fill the disks.</summary>
    private static readonly TimeSpan BetweenLogs = TimeSpan.FromSeconds(10);

    private readonly ConcurrentDictionary<(string Reason, string Caller), long> logged = new();

    /// <param name="reason">What happened: the reason of the gRPC error where there is one.</param>
    /// <param name="caller">Who; empty where nobody was identified. One of the callers' file, so there are few.</param>
    /// <param name="method">What was called; empty where it did not come to a call.</param>
    public void Raise(string reason, string caller = "", string method = "")
    {
        instruments.SecurityEvent(reason, caller);
        var now = Stopwatch.GetTimestamp();
        if (!logged.TryGetValue((reason, caller), out var last) || Stopwatch.GetElapsedTime(last, now) > BetweenLogs)
        {
            logged[(reason, caller)] = now;
            log.SecurityEvent(reason, caller, method);
        }
    }
}
