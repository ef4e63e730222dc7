using System.Globalization;
using OtpAuthService.Bench.Reporting;

namespace OtpAuthService.Bench.Timing;

/// <summary>How long the answers took, by question, and whether their medians can be told apart.</summary>
internal sealed class TimingTable
{
    /// <summary>How far a median may be from that of the question's reference.</summary>
    public const double Tolerance = 0.05;

    private readonly IReadOnlyList<Row> rows;

    public TimingTable(ILookup<Question, double> milliseconds)
    {
        var sorted = Questions.All.ToDictionary(question => question, question => milliseconds[question].Order().ToArray());
        rows = [.. Questions.All.Select(question => new Row(
            question, sorted[question], Percentile(sorted[question], 0.5) / Percentile(sorted[question.Reference()], 0.5)))];
    }

    /// <summary>The questions whose medians are too far from those of their references.</summary>
    public IEnumerable<Question> Apart => rows.Where(row => Math.Abs(row.Ratio - 1) > Tolerance).Select(row => row.Question);

    public TextTable ToText() => new(
        1,
        ["Asked", "Samples", "Median ms", "p95 ms", "p99 ms", "Median × known"],
        [.. rows.Select(row => (IReadOnlyList<string>)
        [
            row.Question.Title(),
            row.Sorted.Length.ToString("N0", CultureInfo.InvariantCulture),
            .. new[] { 0.5, 0.95, 0.99 }.Select(share => Percentile(row.Sorted, share).ToString("0.00", CultureInfo.InvariantCulture)),
            row.Ratio.ToString("0.000", CultureInfo.InvariantCulture),
        ])]);

    /// <summary>What this share of the samples did not exceed; of the samples themselves, because a histogram's steps would take from the tolerance.</summary>
    private static double Percentile(double[] sorted, double share) => sorted[(int)Math.Ceiling(share * sorted.Length) - 1];

    private sealed record Row(Question Question, double[] Sorted, double Ratio);
}
