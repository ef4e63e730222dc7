namespace OtpAuthService.Bench.Measuring;

/// <summary>All samples of a run, by scenario and calls in flight, one per round.</summary>
internal sealed class Measurements
{
    private readonly List<Series> series = [];

    public IReadOnlyList<Series> All => series;

    public void Add(Scenario scenario, int inFlight, Sample sample)
    {
        var own = Find(scenario.Key, inFlight);
        if (own is null)
        {
            own = new Series(scenario.Key, scenario.Title, inFlight, []);
            series.Add(own);
        }

        own.Samples.Add(sample);
    }

    public Series? Find(string scenario, int inFlight) => series.Find(s => s.Key == scenario && s.InFlight == inFlight);
}

/// <summary>The samples of one scenario at one number of calls in flight, in the order of the rounds.</summary>
internal sealed record Series(string Key, string Title, int InFlight, List<Sample> Samples)
{
    public double Median(Func<Sample, double> value) => Statistics.Median(Samples.Select(value));
}

internal static class Statistics
{
    public static double Median(IEnumerable<double> values)
    {
        var sorted = values.Order().ToList();
        var middle = sorted.Count / 2;
        return sorted.Count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }
}
