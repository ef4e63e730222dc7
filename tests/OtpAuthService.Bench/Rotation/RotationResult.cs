using System.Globalization;
using OtpAuthService.Bench.Measuring;
using OtpAuthService.Bench.Reporting;

namespace OtpAuthService.Bench.Rotation;

/// <summary>What a rotation costs the calls beside it.</summary>
/// <param name="Before">Before RotateKeys.</param>
/// <param name="Paused">After it, while nothing is re-wrapped: each beside one of <paramref name="During"/>.</param>
/// <param name="During">While credentials are re-wrapped.</param>
/// <param name="After">When all were, and the server was started anew.</param>
/// <param name="Rewrapped">Per second, during.</param>
/// <param name="LeftAtKill">Credentials under the old key when the server was killed.</param>
/// <param name="RewrappedAlone">Per second, without load.</param>
internal sealed record RotationResult(
    IReadOnlyList<LoadResult> Before,
    IReadOnlyList<LoadResult> Paused,
    IReadOnlyList<LoadResult> During,
    IReadOnlyList<LoadResult> After,
    IReadOnlyList<double> Rewrapped,
    long LeftAtKill,
    double RewrappedAlone)
{
    /// <summary>Calls beside re-wrapping, of those without.</summary>
    public const double Goal = 0.8;

    public double Ratio => Median(During.Zip(Paused, (during, paused) => PerSecond(during) / PerSecond(paused)));

    public double RatioToBefore => Median(During.Select(PerSecond)) / Median(Before.Select(PerSecond));

    public TextTable Table() => new(
        TextColumns: 1,
        ["Phase", "Phases", "calls/s, median", "lowest–highest", "p50 ms", "p99 ms", "calls counted", "failed"],
        [Row("before RotateKeys", Before), Row("rotated, re-wrapping paused", Paused), Row("re-wrapping", During), Row("after", After)]);

    public string Summary => string.Create(
        CultureInfo.InvariantCulture,
        $"""
        Re-wrapping costs: {Ratio:0.00} of the calls of the paused phase beside it (median of {During.Count} pairs; goal {Goal:0.0} or more, {(Ratio >= Goal ? "kept" : "not kept")}); {RatioToBefore:0.00} of those before.
        Re-wrapped per second: {Median(Rewrapped):N0} under load, {RewrappedAlone:N0} without.
        Killed (-9) with {LeftAtKill:N0} left, started again, it brought the rest under the new key.
        """);

    private static string[] Row(string name, IReadOnlyList<LoadResult> phases)
    {
        var latencies = new LatencyHistogram();
        phases.ToList().ForEach(phase => latencies.Add(phase.Latencies));
        var rates = phases.Select(PerSecond).Order().ToList();
        return
        [
            name, $"{phases.Count}", Text(Median(rates)), $"{Text(rates[0])}–{Text(rates[^1])}",
            latencies.Percentile(0.5).ToString("0.00", CultureInfo.InvariantCulture), latencies.Percentile(0.99).ToString("0.00", CultureInfo.InvariantCulture),
            Text(latencies.Count), "0",
        ];
    }

    private static double PerSecond(LoadResult result) => result.Latencies.Count / result.Counted.TotalSeconds;

    private static double Median(IEnumerable<double> values)
    {
        var sorted = values.Order().ToList();
        return (sorted[(sorted.Count - 1) / 2] + sorted[sorted.Count / 2]) / 2;
    }

    private static string Text(double value) => value.ToString("N0", CultureInfo.InvariantCulture);
}
