using System.CommandLine;
using System.Text.Json.Nodes;

namespace OtpCtl.Commands.Completion;

/// <summary>The scripts lie beside this file; what they offer is asked of the program itself, so that they never grow old.</summary>
internal static class CompletionCommand
{
    private static readonly Argument<string> Shell =
        new Argument<string>("SHELL") { Description = "For which shell." }.AcceptOnlyFromAmong("bash", "zsh", "fish");

    public static Command Create()
    {
        var command = new Command("completion", "Prints a script that has a shell complete commands, options and their values.") { Shell };
        command.SetAction(Print);
        return command.WithExample("source <(otpctl completion bash)");
    }

    private static int Print(ParseResult parsed)
    {
        var shell = parsed.GetRequiredValue(Shell);
        using var script = new StreamReader(typeof(CompletionCommand).Assembly.GetManifestResourceStream($"otpctl.{shell}")!);
        var text = script.ReadToEnd();
        if (parsed.GetValue(GlobalOptions.Json))
        {
            AnswerOutput.Write(parsed, new JsonObject { ["shell"] = shell, ["script"] = text });
        }
        else
        {
            parsed.InvocationConfiguration.Output.Write(text);
        }

        return ExitCode.Success;
    }
}
