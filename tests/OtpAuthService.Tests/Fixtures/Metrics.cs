using System.Globalization;

namespace OtpAuthService.Tests.Fixtures;

/// <summary>What a service tells Prometheus.</summary>
internal static class Metrics
{
    private static readonly HttpClient Http = new();

    /// <summary>Everything.</summary>
    public static async Task<IReadOnlyList<Series>> ScrapeAsync(this OtpService service) =>
    [
        .. (await Http.GetStringAsync(service.ManagementAddress + "/metrics")).Split('\n').Where(line => line.Length > 0 && line[0] != '#').Select(Series.Of),
    ];

    /// <summary>A metric with one series.</summary>
    public static async Task<double> MetricAsync(this OtpService service, string name) =>
        (await service.ScrapeAsync()).Single(series => series.Name == name).Value;

    /// <summary>The sum of the series that bear these labels.</summary>
    public static async Task<double> MetricAsync(this OtpService service, string name, params (string Label, string Value)[] labels) =>
        (await service.ScrapeAsync()).Where(series => series.Name == name && labels.All(l => series.Labels.GetValueOrDefault(l.Label) == l.Value)).Sum(series => series.Value);

    public static Task ExpectMetricAsync(this OtpService service, string name, double value, int seconds = 20) =>
        Eventually.IsTrueAsync(async () => await service.MetricAsync(name) == value, $"{name} is {value}", seconds);
}

/// <summary>A line of Prometheus' text form.</summary>
internal sealed record Series(string Name, IReadOnlyDictionary<string, string> Labels, double Value)
{
    /// <summary>None of our values has a comma, a quote or a brace.</summary>
    public static Series Of(string line)
    {
        var end = line.IndexOfAny(['{', ' ']);
        var labels = line[end] == '{' ? line[(end + 1)..line.IndexOf('}')] : "";
        return new(
            line[..end],
            labels.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(label => label.Split('=', 2)).ToDictionary(pair => pair[0], pair => pair[1].Trim('"')),
            double.Parse(line[(labels.Length > 0 ? line.IndexOf('}') : end)..].TrimStart('}', ' ').Split(' ')[0], CultureInfo.InvariantCulture));
    }
}
