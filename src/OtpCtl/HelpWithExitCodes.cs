using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace OtpCtl;

/// <summary>--help, followed by an example of the command, and by the exit codes: they are the same for every command.</summary>
internal sealed class HelpWithExitCodes(HelpAction help) : SynchronousCommandLineAction
{
    public override bool ClearsParseErrors => true;

    public override int Invoke(ParseResult parseResult)
    {
        help.Invoke(parseResult);
        var output = parseResult.InvocationConfiguration.Output;
        if (Examples.ExampleOf(parseResult.CommandResult.Command) is { } example)
        {
            output.WriteLine($"Example:\n  {example}\n");
        }

        output.WriteLine(ExitCode.Help);
        return ExitCode.Success;
    }
}
