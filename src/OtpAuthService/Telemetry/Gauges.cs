using System.Diagnostics.Metrics;
using Microsoft.Extensions.Options;
using OtpAuthService.Audit;
using OtpAuthService.Callers;
using OtpAuthService.Credentials;
using OtpAuthService.Hosting;
using OtpAuthService.Keys;
using OtpAuthService.Storage;
using OtpAuthService.Submissions;
using OtpAuthService.Verification;

namespace OtpAuthService.Telemetry;

/// <summary>
/// How the service's parts are when somebody asks: nothing depends on it, and it on everything it tells of. The meaning of each: README.md beside
/// this file.
/// </summary>
internal sealed class Gauges
{
    private readonly Meter meter;

    public Gauges(
        IMeterFactory meters,
        DecisionLedger ledger,
        StoreAvailability store,
        StoreMonitor monitor,
        IReplayCache replays,
        FailureTallies failures,
        CredentialKeyCache keyCache,
        DataKeys keys,
        Rewrapping rewrapping,
        AuditHeads heads,
        FileWatch files,
        Expiries expiries)
    {
        meter = meters.Create(Instruments.MeterName);
        Watch("otp.queue.depth", "{submission}", () => ledger.Waiting, "Submissions that wait for their batch.");
        Watch("otp.store.available", "{state}", () => store.Problem is null ? 1 : 0, "1 while the database can decide.");
        Watch("otp.clock.offset", "s", () => monitor.ClockOffset.TotalSeconds, "This machine's clock less the database's.");
        Watch("otp.replay_cache.degraded", "{state}", () => replays.IsDegraded ? 1 : 0, "1 while Redis is left out and the database decides alone.");
        Watch("otp.replay_cache.breaker_open", "{state}", () => replays.IsBreakerOpen ? 1 : 0, "1 while the circuit breaker keeps questions from Redis.");
        Watch("otp.guess_budget.used_ratio", "1", () => failures.Used.Select(
            used => Labelled(used.Share, ("caller", used.Caller), ("institution", used.Institution.Value))), "Wrong OTPs within ten minutes, as a share of what stops the caller.");
        Watch("otp.guess_budget.institution_ratio", "1", () => failures.UsedByInstitution.Select(
            used => Labelled(used.Share, ("institution", used.Institution.Value))), "The same over all callers, as a share of what raises a security event.");
        meter.CreateObservableCounter(
            "otp.key_cache.lookups", () => new[] { Labelled(keyCache.Hits, ("result", "hit")), Labelled(keyCache.Misses, ("result", "miss")) }, "{lookup}", "Contractors whose key was looked for in memory.");
        Watch("otp.key_cache.entries", "{key}", () => keyCache.Count, "Keys in memory.");
        Watch("otp.keys.kek_reachable", "{state}", () => keys.IsKekReachable ? 1 : 0, "1 while the KEK provider opens data keys.");
        Watch("otp.keys.to_rewrap", "{credential}", () => rewrapping.Remaining, "Credentials under an older data key, as this replica counted them last.");
        Watch("otp.audit.intact", "{state}", () => heads.AreIntact ? 1 : 0, "0 once the audit records are not as the newest signed head says.");
        Watch("otp.audit.check_age", "s", () => heads.SinceChecked.TotalSeconds, "Since this replica last held the chains against the newest head and had heads shipped.");
        Watch("otp.files.broken", "{state}", () => files.States.Select(file => Labelled(file.Broken ? 1 : 0, ("files", file.Name))),
            "1 while watched files cannot be used as they are; what was read before stays in force.");
        Watch("otp.certificate.expiry", "s", () => expiries.OfCertificates.Select(
            end => Labelled(end.Left.TotalSeconds, ("certificate", end.Certificate))), "Until it ends, or the revocation list is due for its next issue.");
        Watch("otp.caller.certificate_expiry", "s", () => expiries.OfShownCertificates.Select(
            end => Labelled(end.Left.TotalSeconds, ("caller", end.Caller))), "Until the certificate ends that the caller has shown last.");
        Watch("otp.caller.expiry", "s", () => expiries.OfCallers.Select(end => Labelled(end.Left.TotalSeconds, ("caller", end.Caller))), "Until the callers' file ends a caller.");
        Watch("otp.bypass_grant.expiry", "s", () => expiries.OfGrants.Select(
            end => Labelled(end.Left.TotalSeconds, ("caller", end.Caller), ("institution", end.Institution.Value))), "Until a bypass grant ends.");
    }

    private void Watch(string name, string unit, Func<double> look, string description) => meter.CreateObservableGauge(name, look, unit, description);

    private void Watch(string name, string unit, Func<IEnumerable<Measurement<double>>> look, string description) =>
        meter.CreateObservableGauge(name, look, unit, description);

    private static Measurement<double> Labelled(double value, params (string Name, string Value)[] labels) =>
        new(value, labels.Select(label => new KeyValuePair<string, object?>(label.Name, label.Value)));
}
