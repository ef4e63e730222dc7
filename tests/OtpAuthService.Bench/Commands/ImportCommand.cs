using System.CommandLine;
using OtpAuthService.Bench.Client;
using OtpAuthService.Bench.Import;
using OtpAuthService.Bench.Reporting;

namespace OtpAuthService.Bench.Commands;

/// <summary>How fast ImportCredentials takes a supplier's file in, and in how much memory.</summary>
internal static class ImportCommand
{
    private static readonly Option<int> Credentials = new("--credentials")
    {
        Description = "How many, 1,000 to 2,000,000.",
        DefaultValueFactory = _ => 1_000_000,
    };

    public static Command Create()
    {
        Credentials.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int>() is < 1_000 or > 2_000_000)
            {
                result.AddError("--credentials must be from 1000 to 2000000.");
            }
        });
        var command = new Command("import", "Has the service look at a PSKC file of a million credentials, and take it in.") { Credentials };
        command.SetAction((parsed, cancellation) => RunAsync(parsed.GetValue(Credentials), cancellation));
        return command;
    }

    private static async Task<int> RunAsync(int credentials, CancellationToken cancellation)
    {
        var progress = new ProgressLine();
        await using var bench = new ImportBench(credentials, progress);
        try
        {
            var rounds = await bench.RunAsync(cancellation);
            progress.End();
            Console.WriteLine((await bench.DescribeMachineAsync()).Description);
            rounds.ForEach(Console.WriteLine);
            return 0;
        }
        catch (LoadFailedException failed)
        {
            progress.End();
            await Console.Error.WriteLineAsync($"The run failed: {failed.Message}");
            return 1;
        }
    }
}
