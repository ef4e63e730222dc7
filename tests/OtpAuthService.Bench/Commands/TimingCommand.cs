using System.CommandLine;
using Grpc.Core;
using OtpAuthService.Bench.Client;
using OtpAuthService.Bench.Lab;
using OtpAuthService.Bench.Reporting;
using OtpAuthService.Bench.Timing;
using Spectre.Console;

namespace OtpAuthService.Bench.Commands;

/// <summary>Whether the time of a generic answer tells what the answer does not.</summary>
internal static class TimingCommand
{
    private static readonly Option<int> Samples = new("--samples")
    {
        Description = "Of each question, 100 to 50,000: a contractor locked at the start is so for half an hour.",
        DefaultValueFactory = _ => 10_000,
    };

    public static Command Create()
    {
        Samples.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int>() is < 100 or > 50_000)
            {
                result.AddError("--samples must be from 100 to 50000.");
            }
        });
        var command = new Command(
            "timing", "Times refusals of known, unknown and locked contractors where the policy is generic; exits with 1 where their medians can be told apart.")
        {
            Samples,
        };
        command.SetAction((parsed, cancellation) => RunAsync(parsed.GetValue(Samples), cancellation));
        return command;
    }

    private static async Task<int> RunAsync(int samples, CancellationToken cancellation)
    {
        var progress = new ProgressLine();
        await using var bench = new TimingBench(samples, progress);
        try
        {
            var (full, generic, machine) = await bench.RunAsync(cancellation);
            progress.End();
            Print(full, generic, machine);
            return Judge(generic);
        }
        catch (Exception cancelled) when (cancellation.IsCancellationRequested && cancelled is OperationCanceledException or RpcException)
        {
            progress.End();
            await Console.Error.WriteLineAsync("Cancelled.");
            return 1;
        }
        catch (LoadFailedException failed)
        {
            progress.End();
            await Console.Error.WriteLineAsync($"The run failed: {failed.Message}\n{bench.Output}");
            return 1;
        }
    }

    private static void Print(TimingTable full, TimingTable generic, Machine machine)
    {
        // A log has no width to wrap at.
        if (Console.IsOutputRedirected)
        {
            AnsiConsole.Console.Profile.Width = 240;
        }

        AnsiConsole.WriteLine(machine.Description);
        AnsiConsole.WriteLine($"Full detail, for contrast; {TimingBench.InFlightInContrast} calls in flight over one connection:");
        full.ToText().Print(AnsiConsole.Console);
        AnsiConsole.WriteLine($"Generic policy; {TimingBench.InFlight} calls in flight over the same:");
        generic.ToText().Print(AnsiConsole.Console);
    }

    private static int Judge(TimingTable generic)
    {
        var apart = generic.Apart.ToList();
        AnsiConsole.WriteLine(apart.Count == 0
            ? $"All medians are within {TimingTable.Tolerance:0 %} of that of a known contractor."
            : $"Can be told apart, with a median more than {TimingTable.Tolerance:0 %} from that of a known contractor: {string.Join("; ", apart.Select(Questions.Title))}.");
        return apart.Count == 0 ? 0 : 1;
    }
}
