using System.CommandLine;
using OtpAuthService.Bench.Abuse;
using OtpAuthService.Bench.Client;
using OtpAuthService.Bench.Lab;
using OtpAuthService.Bench.Reporting;
using OtpAuthService.Tests.Abuse;
using Spectre.Console;

namespace OtpAuthService.Bench.Commands;

/// <summary>HTTP/2 clients that misbehave, beside one that does not.</summary>
internal static class AbuseCommand
{
    private const int DefaultSeconds = 8;

    /// <summary>For the compiler to have seen the calls, and the garbage collector to have found its size.</summary>
    private static readonly TimeSpan WarmUp = TimeSpan.FromSeconds(20);

    private static readonly Option<string[]> Only = new("--only")
    {
        Description = "These attacks alone, by their names in the table; nothing is written to results/.",
        AllowMultipleArgumentsPerToken = true,
    };

    private static readonly Option<int> Seconds = new("--seconds")
    {
        Description = "How long is measured before, during and after each attack. Results are written with the default only.",
        DefaultValueFactory = _ => DefaultSeconds,
    };

    public static Command Create()
    {
        var command = new Command("abuse", "Attacks the published service over HTTP/2 and measures what another caller notices, and what is left of it.")
        {
            Only, Seconds,
        };
        command.SetAction((parsed, cancellation) => RunAsync(parsed.GetValue(Only) ?? [], parsed.GetValue(Seconds), cancellation));
        return command;
    }

    private static async Task<int> RunAsync(string[] only, int seconds, CancellationToken cancellation)
    {
        var attacks = Attacks.All.Where(attack => only.Length == 0 || only.Contains(attack.Name)).ToList();
        if (only.Except(attacks.Select(attack => attack.Name)).FirstOrDefault() is { } unknown)
        {
            await Console.Error.WriteLineAsync($"There is no attack {unknown}; there are {string.Join(", ", Attacks.All.Select(a => a.Name))}.");
            return 1;
        }

        var progress = new ProgressLine();
        await using var lab = new AbuseLab();
        try
        {
            progress.Show("publishing the service, starting PostgreSQL and Redis");
            await lab.SetUpAsync();
            await using var caller = new SteadyCaller(lab.Server.Plain, AbuseLab.Contractors);
            progress.Show("warming up");
            await caller.MeasureAsync(WarmUp);
            var results = await new AbuseRun(lab.Server, caller, TimeSpan.FromSeconds(seconds), progress).RunAsync(attacks, cancellation);
            progress.End();
            await ReportAsync(results, seconds, await Machine.DescribeAsync(lab.Stores), keep: only.Length == 0 && seconds == DefaultSeconds);
            return results.Any(result => result.Problem is not null) ? 1 : 0;
        }
        catch (Exception failed) when (failed is LoadFailedException or OperationCanceledException)
        {
            progress.End();
            await Console.Error.WriteLineAsync($"The run failed: {failed.Message}\n{string.Join('\n', (lab.Server?.Output ?? "").Split('\n').TakeLast(10))}");
            return 1;
        }
    }

    private static async Task ReportAsync(IReadOnlyList<AbuseResult> results, int seconds, Machine machine, bool keep)
    {
        if (Console.IsOutputRedirected)
        {
            AnsiConsole.Console.Profile.Width = 400;
        }

        var table = AbuseResult.Table(results);
        table.Print(AnsiConsole.Console);
        foreach (var result in results.Where(result => result.Problem is not null))
        {
            AnsiConsole.WriteLine($"{result.Attack.Name}: {result.Problem}");
        }

        if (keep)
        {
            var date = TimeProvider.System.GetUtcNow();
            var name = $"{date:yyyy-MM-dd}-{machine.Slug}-abuse.md";
            var text =
                $"""
                # {date:yyyy-MM-dd}, abuse

                {machine.Description}. {SteadyCaller.CallsPerSecond} GetRequirement per second by the shipped client, {seconds} s each before, during and after.
                Bounds: p99 during at most {AbuseResult.MostP99Ratio} times p99 before; memory after at most {AbuseResult.MemoryBound >> 20} MiB more than before; no connection left.
                {string.Join('\n', results.Where(r => r.Problem is not null).Select(r => $"Not kept: {r.Attack.Name}, {r.Problem}.").DefaultIfEmpty("All kept."))}

                {table.ToMarkdown()}
                """;
            await File.WriteAllTextAsync(Path.Combine(Publication.RepositoryRoot(), "tests", "OtpAuthService.Bench", "results", name), text);
            AnsiConsole.WriteLine($"Written: tests/OtpAuthService.Bench/results/{name}");
        }
    }
}
