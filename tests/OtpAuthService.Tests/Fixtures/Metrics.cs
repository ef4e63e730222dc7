using System.Globalization;

namespace OtpAuthService.Tests.Fixtures;

/// <summary>What a service tells Prometheus.</summary>
internal static class Metrics
{
    private static readonly HttpClient Http = new();

    /// <summary>A metric with one series.</summary>
    public static async Task<double> MetricAsync(this OtpService service, string name)
    {
        var metrics = await Http.GetStringAsync(service.ManagementAddress + "/metrics");
        var line = metrics.Split('\n').Single(l => l.StartsWith(name + "{", StringComparison.Ordinal) || l.StartsWith(name + " ", StringComparison.Ordinal));
        return double.Parse(line.Split(' ')[1], CultureInfo.InvariantCulture);
    }

    public static Task ExpectMetricAsync(this OtpService service, string name, double value, int seconds = 20) =>
        Eventually.IsTrueAsync(async () => await service.MetricAsync(name) == value, $"{name} is {value}", seconds);
}
