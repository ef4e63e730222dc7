using System.CommandLine;
using System.Text.Json.Nodes;

namespace OtpCtl.Commands.Caller;

/// <summary>A dry run until <see cref="ApplyOption"/>, as <see cref="Change"/> is for what the service does.</summary>
internal static class CallerChange
{
    /// <param name="parsed">The command line.</param>
    /// <param name="path">The callers' file.</param>
    /// <param name="after">What is to be in it, known to be taken by the service.</param>
    /// <param name="caller">Who is added or removed.</param>
    public static int Conclude(ParseResult parsed, string path, byte[] after, JsonObject caller)
    {
        var apply = parsed.GetValue(ApplyOption.Option);
        if (apply)
        {
            CallersFile.Replace(path, after);
        }

        AnswerOutput.Write(parsed, new JsonObject { ["applied"] = apply, ["file"] = path, ["caller"] = caller });
        if (!apply)
        {
            Change.WriteLastLine(parsed);
        }

        return ExitCode.Success;
    }
}
