using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace OtpCtl;

/// <summary>--help, followed by the exit codes: they are the same for every command.</summary>
internal sealed class HelpWithExitCodes(HelpAction help) : SynchronousCommandLineAction
{
    public override bool ClearsParseErrors => true;

    public override int Invoke(ParseResult parseResult)
    {
        help.Invoke(parseResult);
        parseResult.InvocationConfiguration.Output.WriteLine(ExitCode.Help);
        return ExitCode.Success;
    }
}
