using System.Text;
using System.Text.RegularExpressions;

namespace OtpAuthService.Tests;

/// <summary>Commands, and what they printed and exited with, as an operator would see them one after the other. What differs from run to run is replaced.</summary>
internal sealed partial class Transcript(params (string From, string To)[] replaced)
{
    private readonly StringBuilder text = new();
    private readonly List<(string From, string To)> replaced = [.. replaced];

    public (string Name, string Value)[] Environment { get; init; } = [];

    /// <summary>Also what differs from run to run and is not known before: an ID that was printed.</summary>
    public void Replace(string from, string to) => replaced.Add((from, to));

    /// <param name="command">Words, with quotes where they hold spaces; as it is to stand in the transcript.</param>
    /// <param name="stdin">Not in the transcript.</param>
    /// <param name="hidden">Arguments that are not in the transcript, such as an address.</param>
    public async Task<OtpCtlProcess.Result> RunAsync(string command, string stdin = "", params string[] hidden)
    {
        var words = Word().Matches(command).Select(word => replaced.Aggregate(word.Value.Replace("'", "", StringComparison.Ordinal), (line, pair) => line.Replace(pair.To, pair.From)));
        var result = await OtpCtlProcess.RunAsync(stdin, [.. words, .. hidden], Environment);
        text.Append($"$ otpctl {command}\n{result.Output}{string.Concat(result.Errors.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => $"! {line}\n"))}");
        text.Append(result.ExitCode == 0 ? "\n" : $"exit code {result.ExitCode}\n\n");
        return result;
    }

    public void AssertGolden(string file)
    {
        var actual = replaced.Aggregate(text.ToString(), (lines, pair) => lines.Replace(pair.From, pair.To));
        Golden.Assert(file, Moment().Replace(actual, "MOMENT"));
    }

    [GeneratedRegex(@"(?:[^\s']|'[^']*')+")]
    private static partial Regex Word();

    [GeneratedRegex(@"20\d\d-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?Z")]
    private static partial Regex Moment();
}
