using System.CommandLine;
using OtpAuthService.Bench.Commands;

namespace OtpAuthService.Bench;

/// <summary>
/// Measures the service: whole calls under load, what others notice of abuse, what the time of an answer tells, how fast records are verified, what a rotation of
/// keys costs, how a supplier's file is taken in, and the parts of a Verify by themselves.
/// </summary>
internal static class Program
{
    /// <summary>After Ctrl-C: for the measurement under way to end, and for the servers to be stopped.</summary>
    private static readonly TimeSpan GoodbyeTime = TimeSpan.FromSeconds(60);

    private static Task<int> Main(string[] args) =>
        new RootCommand("Measures OtpAuthService beside its rivals, on this machine.")
        {
            LoadCommand.Create(),
            AbuseCommand.Create(),
            TimingCommand.Create(),
            AuditCommand.Create(),
            RotationCommand.Create(),
            ImportCommand.Create(),
            MicroCommand.Create(),
            ServeCommand.Create(),
        }.Parse(args).InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = GoodbyeTime });
}
