using System.Globalization;
using OtpAuthService.Bench.Lab;
using OtpAuthService.Bench.Measuring;
using Spectre.Console;

namespace OtpAuthService.Bench.Reporting;

/// <summary>A finished run: shown, and kept in <c>results/</c> as a table, a JSON document and a plot.</summary>
internal sealed class Report(Plan plan, int credentials, Measurements measured, Machine machine, IReadOnlyList<string> notes, DateTimeOffset date)
{
    private const string ReadmeBegin = "<!-- latest full run: written by load -->";
    private const string ReadmeEnd = "<!-- end of latest full run -->";

    private readonly IReadOnlyList<Ratio> ratios = Ratios.Of(measured);

    private static string Folder => Path.Combine(Publication.RepositoryRoot(), "tests", "OtpAuthService.Bench");

    /// <summary>Quick runs are kept beside the full ones, and out of git.</summary>
    private string Name => $"{date:yyyy-MM-dd}-{machine.Slug}{(plan == Plan.Full ? "" : $"-{plan.Name}")}";

    public static async Task<Report> MakeAsync(Plan plan, int credentials, Measurements measured, TestBench bench, TimeSpan elapsed)
    {
        var disturbances = measured.All.SelectMany(series => series.Samples).Select(sample => sample.Disturbance).ToList();
        string[] notes =
        [
            string.Create(CultureInfo.InvariantCulture, $"CPU time that went to anything else on the machine, or to other machines on its hardware: {Statistics.Median(disturbances):0.0%} in the median measurement, {disturbances.Max():0.0%} in the worst. Beyond a few percent the numbers are about that as well."),
            string.Create(CultureInfo.InvariantCulture, $"Run: {plan.Name}, {plan.Rounds} rounds, {plan.Counted.TotalSeconds:0.#} s counted per measurement, {elapsed:mm\\:ss} in all; medians over the rounds."),
            $"PostgreSQL over its defaults: {string.Join(", ", Stores.PostgresSettings)}; Redis in memory only.",
            "Credentials that took turns, and those of them that the service had seen before: " + string.Join(
                ", ", bench.Products.Select(p => string.Create(CultureInfo.InvariantCulture, $"{p.Population.InRotation:N0} and {p.Population.Seen:N0} of {p.Population.Count:N0}"))) + ".",
        ];
        return new Report(plan, credentials, measured, await Machine.DescribeAsync(bench.Stores), notes, TimeProvider.System.GetUtcNow());
    }

    public void Print()
    {
        // A log has no width to wrap at.
        if (Console.IsOutputRedirected)
        {
            AnsiConsole.Console.Profile.Width = 240;
        }

        AnsiConsole.WriteLine(machine.Description);
        ResultTables.Of(measured).Print(AnsiConsole.Console);
        ResultTables.Of(ratios).Print(AnsiConsole.Console);
        foreach (var note in notes)
        {
            AnsiConsole.WriteLine(note);
        }
    }

    /// <param name="json">Gets the JSON document.</param>
    /// <param name="keep">Whether the results are kept in <c>results/</c>.</param>
    public void Write(FileInfo? json, bool keep)
    {
        var document = ResultJson.Of(plan, credentials, machine, notes, date, measured, ratios);
        if (json is not null)
        {
            File.WriteAllText(json.FullName, document);
        }

        if (keep)
        {
            Keep(document);
        }
    }

    private void Keep(string document)
    {
        var results = Path.Combine(Folder, "results");
        Directory.CreateDirectory(results);
        File.WriteAllText(Path.Combine(results, $"{Name}.json"), document);
        File.WriteAllText(Path.Combine(results, $"{Name}.svg"), Plot.Of(measured, $"{machine.Processor}, {machine.Cores} cores, {date:yyyy-MM-dd}"));
        File.WriteAllText(Path.Combine(results, $"{Name}.md"), $"# {date:yyyy-MM-dd}\n\n{ToMarkdown(plotFolder: "")}");
        if (plan == Plan.Full)
        {
            UpdateReadme();
        }

        AnsiConsole.WriteLine($"Written: tests/OtpAuthService.Bench/results/{Name}.md, .json and .svg");
    }

    private void UpdateReadme()
    {
        var file = Path.Combine(Folder, "README.md");
        var text = File.ReadAllText(file);
        var begin = text.IndexOf(ReadmeBegin, StringComparison.Ordinal) + ReadmeBegin.Length;
        var end = text.IndexOf(ReadmeEnd, StringComparison.Ordinal);
        File.WriteAllText(file, $"{text[..begin]}\n\n{ToMarkdown("results/")}\n{text[end..]}");
    }

    private string ToMarkdown(string plotFolder) =>
        $"""
        {date:yyyy-MM-dd}, {machine.Description}.

        {string.Join('\n', notes.Select(note => $"- {note}"))}

        ![Throughput and p99 over calls in flight]({plotFolder}{Name}.svg)

        {ResultTables.Of(measured).ToMarkdown()}
        {ResultTables.Of(ratios).ToMarkdown()}
        """;
}
