using System.Diagnostics;
using System.Diagnostics.Metrics;
using Grpc.Core;
using OtpAuthService.Institutions;
using OtpAuthService.Submissions;
using OtpAuthService.Verification;

namespace OtpAuthService.Telemetry;

/// <summary>
/// What is counted and timed where it happens. No contractor and no credential is ever a label. Each instrument's meaning: README.md beside this
/// file. What is only looked at when somebody asks: <see cref="Gauges"/>.
/// </summary>
internal sealed class Instruments
{
    public const string MeterName = "OtpAuthService";

    private static readonly double[] Seconds = [.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5];

    private readonly Counter<long> decisions;
    private readonly Counter<long> bypasses;
    private readonly Counter<long> replaysRefused;
    private readonly Counter<long> lockouts;
    private readonly Counter<long> securityEvents;
    private readonly Counter<long> fences;
    private readonly Histogram<int> matchOffset;
    private readonly Histogram<int> matchDrift;
    private readonly Histogram<int> batchSize;
    private readonly Histogram<double> callDuration;
    private readonly Histogram<double> commitDuration;
    private readonly Histogram<double> replayCacheDuration;

    public Instruments(IMeterFactory meters)
    {
        var meter = meters.Create(MeterName);
        callDuration = meter.CreateHistogram("rpc.server.call.duration", "s", "Time a gRPC call took, by method and status.", advice: Buckets(Seconds));
        decisions = meter.CreateCounter<long>("otp.decisions", "{decision}", "Answers given, by RPC, outcome, channel, purpose, institution and whether repeated.");
        bypasses = meter.CreateCounter<long>("otp.bypasses", "{answer}", "Answers under a bypass grant, which is one per caller and institution.");
        replaysRefused = meter.CreateCounter<long>("otp.replays_refused", "{otp}", "OTPs refused as used, by who knew first: replay_cache, database or fence.");
        lockouts = meter.CreateCounter<long>("otp.lockouts", "{lockout}", "Contractors locked by wrong OTPs: temporary or until_unlocked.");
        matchOffset = meter.CreateHistogram(
            "otp.match.offset", "{step}", "Of accepted OTPs: time steps between the one expected of the credential and the one shown.", advice: Buckets([0, 1, 2, 3, 5, 10]));
        matchDrift = meter.CreateHistogram(
            "otp.match.drift", "{step}", "Of accepted OTPs: time steps by which the credential's clock was known to be off.", advice: Buckets([0, 1, 2, 3, 5, 10, 20, 50, 120]));
        securityEvents = meter.CreateCounter<long>("otp.security_events", "{event}", "Refused identities and rights, and signs of guessing, by reason and caller.");
        batchSize = meter.CreateHistogram(
            "otp.batch.size", "{submission}", "Submissions that shared a commit, by statement or transaction.", advice: Buckets([1, 2, 4, 8, 16, 32, 64, 128, 256]));
        commitDuration = meter.CreateHistogram("otp.commit.duration", "s", "From the first statement to the answer of the commit.", advice: Buckets(Seconds));
        replayCacheDuration = meter.CreateHistogram(
            "otp.replay_cache.duration", "s", "One question to Redis for a batch.", advice: Buckets([.0001, .00025, .0005, .001, .0025, .005, .01, .02, .05]));
        fences = meter.CreateCounter<long>("otp.fences", "{fence}", "Fences that this replica raised by itself, because the database may have lost commits.");
        // There from the start, so that an alert sees it grow.
        fences.Add(0);
    }

    public void CallEnded(string method, StatusCode status, TimeSpan took) => callDuration.Record(
        took.TotalSeconds, new("rpc.method", method.TrimStart('/')), new("rpc.response.status_code", status.ToString()));

    public void SecurityEvent(string reason, string caller) => securityEvents.Add(1, new("reason", reason), new("caller", caller));

    public void FenceRaised() => fences.Add(1);

    /// <summary>One transaction that decided on submissions has ended.</summary>
    /// <param name="way">How.</param>
    /// <param name="submissions">How many.</param>
    /// <param name="committed">False also where that is not known.</param>
    /// <param name="took">From its first statement.</param>
    public void CommitEnded(CommitWay way, int submissions, bool committed, TimeSpan took)
    {
        var label = new KeyValuePair<string, object?>("way", way == CommitWay.Statement ? "statement" : "transaction");
        batchSize.Record(submissions, label);
        commitDuration.Record(took.TotalSeconds, label, new("result", committed ? "committed" : "failed"));
    }

    public void ReplayCacheAsked(bool answered, TimeSpan took) =>
        replayCacheDuration.Record(took.TotalSeconds, new KeyValuePair<string, object?>("result", answered ? "answered" : "failed"));

    /// <summary>An answer is about to leave.</summary>
    public void Decided(PendingDecision pending, Answer answer)
    {
        var (submission, verdict) = (pending.Submission, answer.Verdict);
        decisions.Add(1, new TagList
        {
            { "rpc", submission.Rpc },
            { "outcome", verdict.Outcome.ToString() },
            { "decision", verdict.Decision.ToString() },
            { "channel", submission.Channel.ToString() },
            { "purpose", submission.Purpose.ToString() },
            { "institution", submission.Institution.Value },
            { "repeated", answer.Repeated },
        });
        if (answer.Repeated)
        {
            return;
        }

        switch (verdict.Outcome)
        {
            case Outcome.Accepted:
                foreach (var otp in verdict.TimeStep is null ? [] : pending.ClaimedBy(verdict))
                {
                    Matched(otp, submission.Institution);
                }

                break;
            case Outcome.Bypassed or Outcome.BypassRefused:
                bypasses.Add(1, new("caller", submission.Caller.Id), new("institution", submission.Institution.Value), new("outcome", verdict.Outcome.ToString()));
                break;
            case Outcome.AlreadyUsed:
                // An event tells the contractor of a use; what only the fence refuses was used by nobody, as far as is known.
                var by = pending.Otp is { IsKnownUsed: true } ? "replay_cache" : verdict.Events.Count > 0 ? "database" : "fence";
                replaysRefused.Add(1, new("refused_by", by), new("institution", submission.Institution.Value));
                break;
        }

        if (verdict.Events.Contains(EventKind.Locked))
        {
            lockouts.Add(1, new("kind", verdict.RetryAfter is null ? "until_unlocked" : "temporary"), new("institution", submission.Institution.Value));
        }
    }

    private void Matched(CheckedOtp otp, InstitutionId institution)
    {
        Record(matchOffset, (int)(otp.Step!.Value.Value - otp.Window.Expected.Value));
        Record(matchDrift, otp.Window.DriftSteps);

        // Amounts, since a histogram of Prometheus has no room for negative ones.
        void Record(Histogram<int> histogram, int steps) => histogram.Record(
            Math.Abs(steps), new("side", steps < 0 ? "behind" : steps > 0 ? "ahead" : "on_time"), new("institution", institution.Value));
    }

    private static InstrumentAdvice<double> Buckets(double[] boundaries) => new() { HistogramBucketBoundaries = boundaries };

    private static InstrumentAdvice<int> Buckets(int[] boundaries) => new() { HistogramBucketBoundaries = boundaries };
}

/// <summary>How submissions come to share a commit.</summary>
internal enum CommitWay
{
    /// <summary>One statement that confirms what was expected of each.</summary>
    Statement,

    /// <summary>Acts that decide one after the other.</summary>
    Transaction,
}
