using System.CommandLine;
using System.Text.Json.Nodes;

namespace OtpCtl.Commands.Caller;

internal static class ListCommand
{
    public static Command Create()
    {
        var command = new Command("list", "Shows who may call, for whom and until when, as the callers' file says.") { CallersFile.Option };
        command.SetAction((parsed, cancellation) => Failures.ReportAsync(parsed, () => ListAsync(parsed, cancellation)));
        return command.WithExample("otpctl caller list --file callers.json");
    }

    private static async Task<int> ListAsync(ParseResult parsed, CancellationToken cancellation)
    {
        var path = CallersFile.PathOf(parsed);
        var registry = CallersFile.Read(path, await File.ReadAllBytesAsync(path, cancellation));
        var rows = registry.Named.OrderBy(named => named.Value.Id, StringComparer.Ordinal).Select(named => CallerRows.Of(named.Key, named.Value));
        AnswerOutput.Write(parsed, new JsonObject { ["callers"] = new JsonArray([.. rows]) });
        return ExitCode.Success;
    }
}
