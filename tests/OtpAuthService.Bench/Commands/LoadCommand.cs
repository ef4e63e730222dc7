using System.CommandLine;
using OtpAuthService.Bench.Client;
using OtpAuthService.Bench.Lab;
using OtpAuthService.Bench.Measuring;
using OtpAuthService.Bench.Reporting;

namespace OtpAuthService.Bench.Commands;

/// <summary>Whole calls under load, the service beside its rivals.</summary>
internal static class LoadCommand
{
    private static readonly Option<bool> Quick = new("--quick")
    {
        Description = "Under four minutes: fewer rounds and numbers of calls in flight, shorter measurements. The full run takes up to half an hour.",
    };

    private static readonly Option<int> Credentials = new("--credentials")
    {
        Description = "Credentials in the service and in each rival for the main table.",
        DefaultValueFactory = _ => 100_000,
    };

    private static readonly Option<FileInfo?> Json = new("--json")
    {
        Description = "Write all results, with the ratios under \"ratios\", to this file as well.",
    };

    private static readonly Option<string[]> Only = new("--only")
    {
        Description = "Measure these scenarios alone, by their names in the JSON document, and write nothing to results/.",
        AllowMultipleArgumentsPerToken = true,
    };

    private static readonly Option<int[]> InFlight = new("--in-flight")
    {
        Description = "Numbers of calls in flight; with --only.",
        AllowMultipleArgumentsPerToken = true,
    };

    public static Command Create()
    {
        var command = new Command(
            "load", "Starts PostgreSQL, Redis, the published service and its rivals, measures them in one interleaved run, and writes results/.")
        {
            Quick, Credentials, Json, Only, InFlight,
        };
        command.Validators.Add(result =>
        {
            if (result.GetValue(InFlight) is { Length: > 0 } && result.GetValue(Only) is not { Length: > 0 })
            {
                result.AddError("--in-flight goes with --only.");
            }
        });
        command.SetAction((parsed, cancellation) =>
        {
            var plan = parsed.GetValue(Quick) ? Plan.Quick : Plan.Full;
            var inFlight = parsed.GetValue(InFlight) ?? [];
            return RunAsync(
                inFlight.Length == 0 ? plan : plan with { InFlight = inFlight, SideInFlight = inFlight },
                parsed.GetValue(Only) ?? [], parsed.GetValue(Credentials), parsed.GetValue(Json), cancellation);
        });
        return command;
    }

    private static async Task<int> RunAsync(Plan plan, string[] only, int credentials, FileInfo? json, CancellationToken cancellation)
    {
        var progress = new ProgressLine();
        await using var bench = new TestBench(plan, only, progress);
        try
        {
            await bench.SetUpAsync(credentials, cancellation);
            await WarmUp.RunAsync(bench, plan, progress, cancellation);
            var meter = new Meter(bench.Stores.Postgres, bench.Stores.Redis, plan);
            var measurements = await new Rounds(meter, plan, progress).RunAsync(bench.Scenarios, cancellation);
            progress.End();
            var report = await Report.MakeAsync(plan, credentials, measurements, bench, progress.Elapsed);
            report.Print();
            report.Write(json, keep: only.Length == 0);
            return 0;
        }
        catch (OperationCanceledException)
        {
            progress.End();
            await Console.Error.WriteLineAsync("Cancelled: nothing is written.");
            return 1;
        }
        catch (LoadFailedException failed)
        {
            progress.End();
            await Console.Error.WriteLineAsync($"The run failed: {failed.Message}\n{bench.Output()}");
            return 1;
        }
    }
}
