using System.CommandLine;
using OtpAuthService.Bench.Audit;
using OtpAuthService.Bench.Client;
using OtpAuthService.Bench.Reporting;

namespace OtpAuthService.Bench.Commands;

/// <summary>How fast VerifyAudit looks at records.</summary>
internal static class AuditCommand
{
    private const int Rounds = 5;

    private static readonly Option<int> Records = new("--records")
    {
        Description = "How many, 1,000 to 20,000,000.",
        DefaultValueFactory = _ => 2_000_000,
    };

    public static Command Create()
    {
        Records.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int>() is < 1_000 or > 20_000_000)
            {
                result.AddError("--records must be from 1000 to 20000000.");
            }
        });
        var command = new Command("audit", "Has the service verify chains of audit records, five times.") { Records };
        command.SetAction((parsed, cancellation) => RunAsync(parsed.GetValue(Records), cancellation));
        return command;
    }

    private static async Task<int> RunAsync(int records, CancellationToken cancellation)
    {
        var progress = new ProgressLine();
        await using var bench = new AuditBench(records, progress);
        try
        {
            var rounds = await bench.RunAsync(Rounds, cancellation);
            progress.End();
            Console.WriteLine((await bench.DescribeMachineAsync()).Description);
            Print(rounds);
            return 0;
        }
        catch (LoadFailedException failed)
        {
            progress.End();
            await Console.Error.WriteLineAsync($"The run failed: {failed.Message}");
            return 1;
        }
    }

    private static void Print(List<AuditRound> rounds)
    {
        foreach (var round in rounds)
        {
            Console.WriteLine(FormattableString.Invariant(
                $"{round.Records:N0} records in {round.Took.TotalSeconds:N2} s: {round.PerSecond:N0}/s; CPU server {round.ServerSeconds:N2} s, PostgreSQL {round.DatabaseSeconds:N2} s"));
        }

        Console.WriteLine(FormattableString.Invariant(
            $"Medians of {rounds.Count}: {Median(rounds, r => r.PerSecond):N0} records/s; {Median(rounds, r => r.PerCoreSecond):N0} per second of processor time, server and PostgreSQL together"));
    }

    private static double Median(List<AuditRound> rounds, Func<AuditRound, double> of) => rounds.Select(of).Order().ElementAt(rounds.Count / 2);
}
