using System.Diagnostics;
using System.Diagnostics.Metrics;
using Grpc.Core;
using OtpAuthService.Audit;
using OtpAuthService.Hosting;
using OtpAuthService.Keys;
using OtpAuthService.Storage;
using OtpAuthService.Submissions;
using OtpAuthService.Verification;

namespace OtpAuthService.Telemetry;

/// <summary>Every instrument of the service. No contractor and no credential is ever a label.</summary>
internal sealed class Instruments
{
    public const string MeterName = "OtpAuthService";

    private readonly Counter<long> decisions;
    private readonly Counter<long> securityEvents;
    private readonly Counter<long> fences;
    private readonly Histogram<double> callDuration;

    public Instruments(IMeterFactory meters, StoreAvailability store, IReplayCache replays, FileWatch files)
    {
        var meter = meters.Create(MeterName);
        decisions = meter.CreateCounter<long>("otp.decisions", "{decision}", "Answers given, by RPC, outcome, channel, purpose, institution and whether repeated.");
        securityEvents = meter.CreateCounter<long>("otp.security_events", "{event}", "Refused identities and rights, and signs of guessing, by reason and caller.");
        fences = meter.CreateCounter<long>("otp.fences", "{fence}", "Fences that this replica raised by itself, because the database may have lost commits.");
        // There from the start, so that an alert sees it grow.
        fences.Add(0);
        meter.CreateObservableGauge(
            "otp.files.broken",
            () => files.States.Select(file => new Measurement<int>(file.Broken ? 1 : 0, new KeyValuePair<string, object?>("files", file.Name))),
            "{state}",
            "1 while watched files cannot be used as they are; what was read before stays in force.");
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

    public void SecurityEvent(string reason, string caller) => securityEvents.Add(1, new("reason", reason), new("caller", caller));

    public void FenceRaised() => fences.Add(1);

    public void CallEnded(string method, StatusCode status, TimeSpan took) => callDuration.Record(
        took.TotalSeconds, new("rpc.method", method.TrimStart('/')), new("rpc.response.status_code", status.ToString()));
}

/// <summary>Of keys and records: what a service has that decides, and nothing beside it.</summary>
internal sealed class CustodyInstruments
{
    public CustodyInstruments(IMeterFactory meters, DataKeys keys, Rewrapping rewrapping, AuditHeads heads)
    {
        var meter = meters.Create(Instruments.MeterName);
        meter.CreateObservableGauge("otp.keys.kek_reachable", () => keys.IsKekReachable ? 1 : 0, "{state}", "1 while the KEK provider opens data keys.");
        meter.CreateObservableGauge(
            "otp.keys.to_rewrap", () => rewrapping.Remaining, "{credential}", "Credentials under an older data key, as this replica counted them last.");
        meter.CreateObservableGauge(
            "otp.audit.intact", () => heads.AreIntact ? 1 : 0, "{state}", "0 once the audit records are not as the newest signed head says.");
    }
}
