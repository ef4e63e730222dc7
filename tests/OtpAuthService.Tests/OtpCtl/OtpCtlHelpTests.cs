using System.CommandLine;
using System.Text.RegularExpressions;
using OtpCtl;
using Tool = OtpCtl.Program;

namespace OtpAuthService.Tests;

/// <summary>What --help prints is what operators learn the program from: it changes only on purpose.</summary>
public sealed partial class OtpCtlHelpTests
{
    [TestCaseSource(nameof(Commands))]
    public async Task Help_OfEachCommand_IsAsInTheGoldenFile(string[] command)
    {
        var result = await OtpCtlProcess.RunAsync([.. command, "--help"]);

        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.Zero);
            Assert.That(result.Errors, Is.Empty);
            Golden.Assert($"{(command is [] ? "otpctl" : string.Join('-', command))}.help.txt", result.Output);
        }
    }

    [Test]
    public void GoldenFiles_OfCommands_AreThoseOfToday() => Assert.That(
        Golden.Names("*.help.txt"), Is.EquivalentTo(AllCommands().Select(command => $"{(command is [] ? "otpctl" : string.Join('-', command))}.help.txt")));

    /// <summary>Nouns are explained by their verbs; every verb shows how it is used, in a way that it would be taken.</summary>
    [Test]
    public void Example_OfEachCommand_IsTaken()
    {
        var file = Path.GetTempFileName();
        using (Assert.EnterMultipleScope())
        {
            foreach (var command in AllCommands().Select(path => path.Aggregate((Command)Tool.Commands(), (at, name) => at.Subcommands.Single(c => c.Name == name))).Where(c => c.Subcommands.Count == 0))
            {
                var example = Examples.ExampleOf(command);
                Assert.That(example, Is.Not.Null, command.Name);
                var words = Words(example!).SkipWhile(word => word != "otpctl").Skip(1).TakeWhile(word => word is not ("||" or "&&" or "|" or ">"))
                    .Select(word => FileName().IsMatch(word) ? file : word);
                var parsed = Tool.Commands().Parse([.. words]);
                Assert.That(parsed.Errors.Select(error => error.Message), Is.Empty, example);
                Assert.That(parsed.CommandResult.Command.Name, Is.EqualTo(command.Name), example);
            }
        }

        File.Delete(file);
    }

    /// <summary>Whoever could be served twice, or changes what others see, has to say that it is meant. Decisions on OTPs are no changes that somebody types by mistake.</summary>
    [Test]
    public void Commands_ThatChangeSomething_AreDryRunsUntilApply()
    {
        var changing = AllCommands().Select(path => string.Join(' ', path)).Where(path => Options(path).Contains("--apply"));
        var sending = AllCommands().Select(path => string.Join(' ', path)).Where(path => Options(path).Contains("--request-id"));

        Assert.That(sending.Except(changing), Is.EquivalentTo(["binding verify", "binding check-otp"]));
        // What the service is not asked, and what it answers once and never again.
        Assert.That(changing.Except(sending), Is.EquivalentTo(["caller add", "caller remove", "migrate", "export fetch", "event reapply"]));

        static IEnumerable<string> Options(string path) => path.Split(' ', StringSplitOptions.RemoveEmptyEntries)
            .Aggregate((Command)Tool.Commands(), (at, name) => at.Subcommands.Single(c => c.Name == name)).Options.Select(option => option.Name);
    }

    private static IEnumerable<TestCaseData> Commands() =>
        AllCommands().Select(command => new TestCaseData([command]).SetArgDisplayNames(command is [] ? "otpctl" : string.Join(' ', command)));

    private static IEnumerable<string[]> AllCommands() => Under(Tool.Commands(), []);

    private static IEnumerable<string[]> Under(Command command, string[] path) => [path, .. command.Subcommands.SelectMany(sub => Under(sub, [.. path, sub.Name]))];

    // As a shell would, as far as the examples go.
    private static IEnumerable<string> Words(string line) => Word().Matches(line).Select(word => word.Value.Replace("'", "", StringComparison.Ordinal));

    [GeneratedRegex(@"(?:[^\s'<()]|'[^']*')+")]
    private static partial Regex Word();

    [GeneratedRegex(@"\.(xml|pem|hex|jsonl|txt)$")]
    private static partial Regex FileName();
}
