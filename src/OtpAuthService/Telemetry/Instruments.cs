using System.Diagnostics;
using System.Diagnostics.Metrics;
using Grpc.Core;
using OtpAuthService.Storage;
using OtpAuthService.Submissions;
using OtpAuthService.Verification;

namespace OtpAuthService.Telemetry;

/// <summary>Every instrument of the service. No contractor and no credential is ever a label.</summary>
internal sealed class Instruments
{
    public const string MeterName = "OtpAuthService";

    private readonly Counter<long> decisions;
    private readonly Histogram<double> callDuration;

    public Instruments(IMeterFactory meters, StoreAvailability store, IReplayCache replays)
    {
        var meter = meters.Create(MeterName);
        decisions = meter.CreateCounter<long>("otp.decisions", "{decision}", "Answers given, by RPC, outcome, channel, purpose, institution and whether repeated.");
        callDuration = meter.CreateHistogram<double>(
            "rpc.server.call.duration",
            "s",
            "Time a gRPC call took, by method and status.",
            advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5] });
        meter.CreateObservableGauge("otp.store.available", () => store.Problem is null ? 1 : 0, "{state}", "1 while the database can decide.");
        meter.CreateObservableGauge(
            "otp.replay_cache.degraded", () => replays.IsDegraded ? 1 : 0, "{state}", "1 while Redis is left out and the database decides alone.");
    }

    public void Decided(Submission submission, Answer answer) => decisions.Add(1, new TagList
    {
        { "rpc", submission.Rpc },
        { "outcome", answer.Verdict.Outcome.ToString() },
        { "decision", answer.Verdict.Decision.ToString() },
        { "channel", submission.Channel.ToString() },
        { "purpose", submission.Purpose.ToString() },
        { "institution", submission.Institution.Value },
        { "repeated", answer.Repeated },
    });

    public void CallEnded(string method, StatusCode status, TimeSpan took) => callDuration.Record(
        took.TotalSeconds, new("rpc.method", method.TrimStart('/')), new("rpc.response.status_code", status.ToString()));
}
