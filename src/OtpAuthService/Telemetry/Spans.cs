using System.Diagnostics;
using Grpc.Core;
using OtpAuthService.Submissions;

namespace OtpAuthService.Telemetry;

/// <summary>A decision's steps in a trace (README.md beside this file). None is made where nobody listens, or where the call is not sampled.</summary>
internal static class Spans
{
    public const string SourceName = "OtpAuthService";

    private static readonly ActivitySource Source = new(SourceName);

    /// <summary>
    /// A call, under the caller's <c>traceparent</c>. The web server's own activity, which has read that, is passed over: nobody is told of it, so it
    /// would be a parent that a trace lacks.
    /// </summary>
    public static Activity? StartCall(string method)
    {
        if (!Source.HasListeners())
        {
            return null;
        }

        var server = Activity.Current;
        _ = ActivityContext.TryParse(server?.ParentId, server?.TraceStateString, isRemote: true, out var caller);
        Activity.Current = null;
        if (Source.StartActivity(method.TrimStart('/'), ActivityKind.Server, caller) is { } call)
        {
            return call.SetTag("rpc.system", "grpc").SetTag("rpc.method", method.TrimStart('/'));
        }

        // Not sampled, and so are its steps: without a parent they would be asked about one by one.
        Activity.Current = server;
        return null;
    }

    public static void EndCall(Activity? call, StatusCode status)
    {
        call?.SetTag("rpc.response.status_code", status.ToString());
        // What a caller did wrong is no error of the service.
        if (status is StatusCode.Internal or StatusCode.Unknown or StatusCode.Unavailable or StatusCode.DeadlineExceeded or StatusCode.DataLoss)
        {
            call?.SetStatus(ActivityStatusCode.Error);
        }

        call?.Dispose();
    }

    /// <summary>A step that is taken for this call alone.</summary>
    public static Activity? Start(string step) => Source.StartActivity(step);

    /// <summary>A step that is taken for many calls together: a span in the trace of each.</summary>
    public static BatchSpans Start(string step, List<PendingDecision> batch)
    {
        if (!Source.HasListeners())
        {
            return default;
        }

        return new BatchSpans([.. Traced(batch).Select(call => Source.StartActivity(step, ActivityKind.Client, call.Context)?.SetTag("otp.batch.size", batch.Count)).OfType<Activity>()]);
    }

    /// <summary>From when they began to wait until now.</summary>
    public static void Waited(List<PendingDecision> batch)
    {
        if (Source.HasListeners())
        {
            foreach (var pending in batch.Where(p => p.Call is { Recorded: true }))
            {
                var since = TimeProvider.System.GetUtcNow() - Stopwatch.GetElapsedTime(pending.Since);
                Source.StartActivity("wait", ActivityKind.Internal, pending.Call!.Context, startTime: since)?.Dispose();
            }
        }
    }

    public static void Answered(Activity? call, Answer answer)
    {
        if (call is { Recorded: true })
        {
            call.SetTag("otp.outcome", answer.Verdict.Outcome.ToString()).SetTag("otp.decision", answer.Verdict.Decision.ToString()).SetTag("otp.repeated", answer.Repeated);
        }
    }

    private static IEnumerable<Activity> Traced(List<PendingDecision> batch) => batch.Select(pending => pending.Call).Where(call => call is { Recorded: true }).OfType<Activity>();
}

/// <summary>The spans of one step in the traces of many calls; they end together.</summary>
internal readonly record struct BatchSpans(IReadOnlyList<Activity>? Spans) : IDisposable
{
    public BatchSpans Tag(string name, string value)
    {
        foreach (var span in Spans ?? [])
        {
            span.SetTag(name, value);
        }

        return this;
    }

    public void Dispose()
    {
        foreach (var span in Spans ?? [])
        {
            span.Dispose();
        }
    }
}
