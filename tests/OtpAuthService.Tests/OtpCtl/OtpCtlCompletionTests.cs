using System.Diagnostics;
using OtpAuthService.Tests.Fixtures;

namespace OtpAuthService.Tests;

/// <summary>Completion in the shells themselves: each loads its script as operators do, and is asked what comes next.</summary>
[System.Runtime.Versioning.UnsupportedOSPlatform("windows")]
public sealed class OtpCtlCompletionTests
{
    private string folder = null!;

    [OneTimeSetUp]
    public async Task InstallAsync()
    {
        folder = Directory.CreateTempSubdirectory("otpctl-completion-").FullName;
        var program = Path.Combine(folder, "otpctl");
        await File.WriteAllTextAsync(program, $"#!/bin/sh\nexec dotnet '{Path.Combine(AppContext.BaseDirectory, "otpctl.dll")}' \"$@\"\n");
        File.SetUnixFileMode(program, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    [OneTimeTearDown]
    public void Remove() => Directory.Delete(folder, recursive: true);

    [TestCase("otpctl ", "binding", "caller", "doctor")]
    [TestCase("otpctl bind", "binding")]
    [TestCase("otpctl binding re", "register", "replace", "report-lost", "resume", "resynchronize")]
    [TestCase("otpctl binding verify --contractor K-1 --purpose ", "login", "settings", "transfer")]
    [TestCase("otpctl binding issue-temporary-otp --uses ", "1", "2", "3", "4", "5")]
    [TestCase("otpctl export fetch --pass", "--password-file", "--password-stdin")]
    [TestCase("otpctl key rotate --ap", "--apply")]
    public async Task Bash_OfALine_OffersWhatMayComeNext(string line, params string[] offered)
    {
        var script =
            """
            source <(otpctl completion bash)
            COMP_LINE=$1 COMP_POINT=${#1}
            read -ra COMP_WORDS <<<"$1"
            [[ $1 == *' ' ]] && COMP_WORDS+=('')
            COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            _otpctl
            printf '%s\n' "${COMPREPLY[@]}"
            """;
        var found = await RunAsync("bash", "--norc", "-c", script, "bash", line);
        Assert.That(found, line.EndsWith(' ') && offered.Contains("doctor") ? Is.SupersetOf(offered) : Is.EquivalentTo(offered));
    }

    [TestCase("otpctl ", "binding", "caller", "doctor")]
    [TestCase("otpctl binding re", "register", "report-lost")]
    [TestCase("otpctl binding verify --contractor K-1 --purpose ", "login", "settings", "transfer")]
    public async Task Fish_OfALine_OffersWhatMayComeNext(string line, params string[] offered)
    {
        var found = await RunAsync("fish", "--no-config", "-c", "otpctl completion fish | source; complete --do-complete \"$argv[1]\"", line);
        Assert.That(found, Is.SupersetOf(offered));
    }

    /// <summary>Without a terminal zsh has no completion of its own: what it would add is printed.</summary>
    [TestCase("otpctl ", "binding", "caller", "doctor")]
    [TestCase("otpctl binding re", "register", "report-lost")]
    [TestCase("otpctl binding verify --contractor K-1 --purpose ", "login", "settings", "transfer")]
    public async Task Zsh_OfALine_OffersWhatMayComeNext(string line, params string[] offered)
    {
        var script =
            """
            compdef() { : }
            compadd() { shift; print -l -- "$@" }
            source <(otpctl completion zsh)
            words=("${(@s: :)1}") CURRENT=${#words}
            _otpctl
            """;
        var found = await RunAsync("zsh", "-f", "-c", script, "zsh", line);
        Assert.That(found, Is.SupersetOf(offered));
    }

    [Test]
    public async Task Script_AsJson_IsTheSame([Values("bash", "zsh", "fish")] string shell)
    {
        var plain = await OtpCtlProcess.RunAsync("completion", shell);
        var json = await OtpCtlProcess.RunAsync("completion", shell, "--json");

        Assert.That(plain.Output, Does.StartWith("#"));
        Assert.That((string)System.Text.Json.Nodes.JsonNode.Parse(json.Output)!["script"]!, Is.EqualTo(plain.Output));
    }

    private async Task<string[]> RunAsync(string shell, params string[] arguments)
    {
        var start = new ProcessStartInfo(shell, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = folder };
        start.Environment["PATH"] = $"{folder}:{start.Environment["PATH"]}";
        start.Environment["HOME"] = folder;
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync();
        var output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.That(await errors, Is.Empty);
        return [.. output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(found => found.Split('\t')[0].Trim())];
    }
}
