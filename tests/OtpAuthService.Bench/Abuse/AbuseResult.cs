using System.Globalization;
using OtpAuthService.Bench.Measuring;
using OtpAuthService.Bench.Reporting;
using OtpAuthService.Tests.Abuse;

namespace OtpAuthService.Bench.Abuse;

/// <summary>One attack, as it went.</summary>
/// <param name="Reaction">What the server did with the attackers.</param>
/// <param name="Before">Of the well-behaved caller.</param>
/// <param name="Unhurt">The server just before the attack.</param>
/// <param name="Left">The server when it had been cleared away.</param>
internal sealed record AbuseResult(
    Attack Attack,
    Reaction Reaction,
    LatencyHistogram Before,
    LatencyHistogram During,
    LatencyHistogram After,
    ServerWatch.Reading Unhurt,
    ServerWatch.Reading Peak,
    ServerWatch.Reading Left)
{
    public const double MostP99Ratio = 3;

    /// <summary>Beyond what it was before: the garbage collector gives memory back when it has a reason to, not at once.</summary>
    public const long MemoryBound = 64 * 1024 * 1024;

    private const double MiB = 1024 * 1024;

    public double Ratio => During.Percentile(0.99) / Before.Percentile(0.99);

    public string? Problem =>
        Ratio > MostP99Ratio ? $"p99 rose {Text(Ratio)}-fold"
        : Left.Resident > Unhurt.Resident + MemoryBound ? "the memory did not come back"
        : Left.Connections > Unhurt.Connections ? "connections were left"
        : null;

    public static TextTable Table(IEnumerable<AbuseResult> results) => new(
        TextColumns: 4,
        [
            "Attack", "Attackers × per second", "What each does", "What the server did", "p50 ms before → during → after", "p99 ms before → during → after",
            "p99 ratio", "Memory MiB before → peak → after", "Connections before → peak → after",
        ],
        [.. results.Select(result => result.Row())]);

    private string[] Row() =>
    [
        Attack.Name,
        Attack.PerSecond == 0 ? $"{Attack.Connections:N0}" : $"{Attack.Connections:N0} × {Attack.PerSecond:N0}",
        Attack.What,
        $"{Reaction}",
        Arrows(Before.Percentile(0.5), During.Percentile(0.5), After.Percentile(0.5)),
        Arrows(Before.Percentile(0.99), During.Percentile(0.99), After.Percentile(0.99)),
        Text(Ratio),
        string.Create(CultureInfo.InvariantCulture, $"{Unhurt.Resident / MiB:0} → {Peak.Resident / MiB:0} → {Left.Resident / MiB:0}"),
        $"{Unhurt.Connections} → {Peak.Connections:N0} → {Left.Connections}",
    ];

    private static string Arrows(double before, double during, double after) => $"{Text(before)} → {Text(during)} → {Text(after)}";

    private static string Text(double value) => value.ToString(value >= 10 ? "0.0" : "0.00", CultureInfo.InvariantCulture);
}
