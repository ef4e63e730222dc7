using System.Text.Encodings.Web;
using System.Text.Json;
using OtpAuthService.Bench.Lab;
using OtpAuthService.Bench.Measuring;

namespace OtpAuthService.Bench.Reporting;

/// <summary>The results for programs.</summary>
internal static class ResultJson
{
    private static readonly JsonSerializerOptions Options = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        WriteIndented = true,
    };

    public static string Of(
        Plan plan,
        int credentials,
        Machine machine,
        IReadOnlyList<string> notes,
        DateTimeOffset date,
        Measurements measured,
        IReadOnlyList<Ratio> ratios) => JsonSerializer.Serialize(
        new
        {
            Date = $"{date:yyyy-MM-ddTHH:mm:ssZ}",
            Plan = plan.Name,
            plan.Rounds,
            Credentials = credentials,
            Machine = machine,
            Notes = notes,
            Ratios = ratios.ToDictionary(ratio => ratio.Name, ratio => ratio.Value),
            Goals = ratios.ToDictionary(ratio => ratio.Name, ratio => new { ratio.Meaning, ratio.Goal, ratio.Least, ratio.Most, ratio.Met }),
            Results = measured.All.Select(series => new
            {
                Scenario = series.Key,
                series.Title,
                series.InFlight,
                CallsPerSecond = series.Median(s => s.CallsPerSecond),
                P50Ms = series.Median(s => s.P50),
                P99Ms = series.Median(s => s.P99),
                P999Ms = series.Median(s => s.P999),
                CpuUs = new
                {
                    Server = series.Median(s => s.Cpu.Server),
                    Postgres = series.Median(s => s.Cpu.Postgres),
                    Redis = series.Median(s => s.Cpu.Redis),
                    LoadGenerator = series.Median(s => s.Cpu.LoadGenerator),
                },
                AllocatedBytes = series.Median(s => s.AllocatedBytes),
                Rounds = series.Samples,
            }),
        },
        Options) + "\n";
}
