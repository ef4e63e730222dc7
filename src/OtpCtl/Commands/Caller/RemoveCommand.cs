using System.CommandLine;

namespace OtpCtl.Commands.Caller;

internal static class RemoveCommand
{
    private static readonly Option<string> Id = new("--id") { Description = "Which one.", HelpName = "id", Required = true };

    public static Command Create()
    {
        var command = new Command("remove", "Takes a caller out of the callers' file: it is refused at its next call. Everything else in the file stays as it was written.")
        {
            CallersFile.Option, Id, ApplyOption.Option,
        };
        command.SetAction((parsed, cancellation) => Failures.ReportAsync(parsed, () => RemoveAsync(parsed, cancellation)));
        return command.WithExample("otpctl caller remove --file callers.json --id desk-2 --apply");
    }

    private static async Task<int> RemoveAsync(ParseResult parsed, CancellationToken cancellation)
    {
        var (path, id) = (CallersFile.PathOf(parsed), parsed.GetRequiredValue(Id));
        var before = await File.ReadAllBytesAsync(path, cancellation);
        var named = CallersFile.Read(path, before).Named.ToList();
        if (named.FindIndex(entry => entry.Value.Id == id) is var index && index < 0)
        {
            throw new UsageException($"no caller in '{path}' has the id '{id}'.");
        }

        var after = CallersText.Remove(before, id);
        if (CallersFile.Read(path, after).All.Count() != named.Count - 1)
        {
            throw new InvalidOperationException("More than that caller would be gone.");
        }

        return CallerChange.Conclude(parsed, path, after, CallerRows.Of(named[index].Key, named[index].Value));
    }
}
