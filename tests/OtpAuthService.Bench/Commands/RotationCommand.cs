using System.CommandLine;
using OtpAuthService.Bench.Client;
using OtpAuthService.Bench.Lab;
using OtpAuthService.Bench.Reporting;
using OtpAuthService.Bench.Rotation;
using Spectre.Console;

namespace OtpAuthService.Bench.Commands;

/// <summary>What calls notice of a rotation of the data key.</summary>
internal static class RotationCommand
{
    private static readonly Option<string?> Note = new("--note")
    {
        Description = "What else the machine did meanwhile; a sentence for the result.",
    };

    private static readonly Option<bool> Keep = new("--keep")
    {
        Description = "Write results/<date>-<machine>-rotation.md.",
    };

    public static Command Create()
    {
        var command = new Command("rotation", "Verify under load while a rotation re-wraps 100,000 credentials, with a kill -9 in the middle; exits with 1 below the goal.")
        {
            Note, Keep,
        };
        command.SetAction((parsed, cancellation) => RunAsync(parsed.GetValue(Note), parsed.GetValue(Keep), cancellation));
        return command;
    }

    private static async Task<int> RunAsync(string? note, bool keep, CancellationToken cancellation)
    {
        var progress = new ProgressLine();
        await using var lab = new RotationLab();
        try
        {
            progress.Show("publishing the service, starting PostgreSQL and Redis, loading credentials");
            await lab.SetUpAsync();
            var result = await new RotationRun(lab, progress).RunAsync(cancellation);
            progress.End();
            await ReportAsync(result, await Machine.DescribeAsync(lab.Stores), note, keep, progress.Elapsed);
            return result.Ratio >= RotationResult.Goal ? 0 : 1;
        }
        catch (Exception failed) when (failed is LoadFailedException or OperationCanceledException)
        {
            progress.End();
            await Console.Error.WriteLineAsync($"The run failed: {failed.Message}\n{string.Join('\n', (lab.Server?.Output ?? "").Split('\n').TakeLast(10))}");
            return 1;
        }
    }

    private static async Task ReportAsync(RotationResult result, Machine machine, string? note, bool keep, TimeSpan took)
    {
        if (Console.IsOutputRedirected)
        {
            AnsiConsole.Console.Profile.Width = 240;
        }

        result.Table().Print(AnsiConsole.Console);
        AnsiConsole.WriteLine(result.Summary);
        if (!keep)
        {
            return;
        }

        var date = TimeProvider.System.GetUtcNow();
        var name = $"{date:yyyy-MM-dd}-{machine.Slug}-rotation.md";
        var text =
            $"""
            # {date:yyyy-MM-dd}, rotation

            {machine.Description}. {RotationLab.Credentials:N0} credentials, Verify at {RotationRun.InFlight} calls in flight, PostgreSQL (autovacuum off) and Redis; the run took {took.TotalMinutes:0.0} min. {note}

            {result.Summary}

            {result.Table().ToMarkdown()}
            """;
        await File.WriteAllTextAsync(Path.Combine(Publication.RepositoryRoot(), "tests", "OtpAuthService.Bench", "results", name), text);
        AnsiConsole.WriteLine($"Written: tests/OtpAuthService.Bench/results/{name}");
    }
}
