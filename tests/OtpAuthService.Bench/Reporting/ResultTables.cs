using System.Globalization;
using OtpAuthService.Bench.Measuring;

namespace OtpAuthService.Bench.Reporting;

/// <summary>The results as tables: medians over the rounds.</summary>
internal static class ResultTables
{
    public static TextTable Of(Measurements measured) => new(
        TextColumns: 2,
        [
            "In flight", "Scenario", "Calls/s", "min–max", "p50 ms", "p99 ms", "p99.9 ms", "CPU µs: server", "PostgreSQL", "Redis", "load gen.",
            "Alloc. bytes", "× no-op", "× naive",
        ],
        [
            .. measured.All.OrderBy(series => series.InFlight).ThenByDescending(series => series.Median(s => s.CallsPerSecond))
                .Select(series => Row(series, measured)),
        ]);

    public static TextTable Of(IEnumerable<Ratio> ratios) => new(
        TextColumns: 2,
        ["Ratio", "What it compares", "Median", "min–max", "Goal", "Met"],
        [
            .. ratios.Select(ratio => new[]
            {
                ratio.Name,
                ratio.Meaning,
                ratio.Value is { } value ? Short(value) : "not measured",
                ratio.Value is null ? "" : $"{Short(ratio.Least!.Value)}–{Short(ratio.Most!.Value)}",
                ratio.Goal,
                ratio.Goal.Length == 0 ? "" : ratio.Met ? "yes" : "no",
            }),
        ]);

    private static string[] Row(Series series, Measurements measured) =>
    [
        $"{series.InFlight}",
        series.Title,
        Whole(series.Median(s => s.CallsPerSecond)),
        $"{Whole(series.Samples.Min(s => s.CallsPerSecond))}–{Whole(series.Samples.Max(s => s.CallsPerSecond))}",
        Short(series.Median(s => s.P50)),
        Short(series.Median(s => s.P99)),
        Short(series.Median(s => s.P999)),
        Short(series.Median(s => s.Cpu.Server)),
        Short(series.Median(s => s.Cpu.Postgres)),
        Short(series.Median(s => s.Cpu.Redis)),
        Short(series.Median(s => s.Cpu.LoadGenerator)),
        Whole(series.Median(s => s.AllocatedBytes)),
        Over(series, measured.Find("noop", series.InFlight)),
        Over(series, measured.Find("naive", series.InFlight)),
    ];

    private static string Over(Series series, Series? other) =>
        other is null ? "" : Short(series.Median(s => s.CallsPerSecond) / other.Median(s => s.CallsPerSecond));

    private static string Whole(double value) => value.ToString("N0", CultureInfo.InvariantCulture);

    /// <summary>Three digits that count, and no more than the measurement is worth.</summary>
    private static string Short(double value) => value switch
    {
        0 => "0",
        >= 100 => Whole(value),
        >= 10 => value.ToString("0.0", CultureInfo.InvariantCulture),
        >= 1 => value.ToString("0.00", CultureInfo.InvariantCulture),
        _ => value.ToString("0.000", CultureInfo.InvariantCulture),
    };
}
