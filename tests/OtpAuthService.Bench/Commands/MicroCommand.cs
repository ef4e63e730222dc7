using System.CommandLine;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Running;
using OtpAuthService.Bench.Lab;
using OtpAuthService.Bench.Micro;

namespace OtpAuthService.Bench.Commands;

/// <summary>The parts of a Verify by themselves, with BenchmarkDotNet.</summary>
internal static class MicroCommand
{
    public static Command Create()
    {
        var command = new Command("micro", "Match, unwrap and parse by themselves, beside Otp.NET. Arguments after -- go to BenchmarkDotNet.");
        var forwarded = new Argument<string[]>("arguments") { Description = "For BenchmarkDotNet, such as --job short.", Arity = ArgumentArity.ZeroOrMore };
        command.Add(forwarded);
        command.SetAction(parsed =>
        {
            var results = Path.Combine(Publication.RepositoryRoot(), "tests", "OtpAuthService.Bench", "results", "micro");
            var config = DefaultConfig.Instance.WithArtifactsPath(results);
            BenchmarkRunner.Run<PartsOfVerify>(config, parsed.GetValue(forwarded));
        });
        return command;
    }
}
