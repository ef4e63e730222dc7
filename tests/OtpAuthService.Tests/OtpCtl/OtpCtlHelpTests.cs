namespace OtpAuthService.Tests;

/// <summary>What --help prints is what operators learn the program from: it changes only on purpose.</summary>
public sealed class OtpCtlHelpTests
{
    [TestCase("otpctl", "")]
    [TestCase("credential", "credential")]
    [TestCase("credential-issue", "credential issue")]
    [TestCase("credential-import", "credential import")]
    [TestCase("credential-show", "credential show")]
    [TestCase("binding", "binding")]
    [TestCase("binding-register", "binding register")]
    [TestCase("binding-verify", "binding verify")]
    [TestCase("binding-suspend", "binding suspend")]
    [TestCase("binding-report-lost", "binding report-lost")]
    [TestCase("binding-bypass", "binding bypass")]
    [TestCase("binding-show", "binding show")]
    [TestCase("institution", "institution")]
    [TestCase("institution-show", "institution show")]
    [TestCase("institution-set", "institution set")]
    [TestCase("bypass", "bypass")]
    [TestCase("bypass-stop", "bypass stop")]
    [TestCase("bypass-resume", "bypass resume")]
    [TestCase("key", "key")]
    [TestCase("key-rotate", "key rotate")]
    [TestCase("key-status", "key status")]
    [TestCase("fence", "fence")]
    [TestCase("fence-show", "fence show")]
    [TestCase("fence-raise", "fence raise")]
    [TestCase("audit", "audit")]
    [TestCase("audit-query", "audit query")]
    [TestCase("audit-verify", "audit verify")]
    [TestCase("demo", "demo")]
    public async Task Help_OfEachCommand_IsAsInTheGoldenFile(string golden, string command)
    {
        var result = await OtpCtlProcess.RunAsync([.. command.Split(' ', StringSplitOptions.RemoveEmptyEntries), "--help"]);

        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.Zero);
            Assert.That(result.Errors, Is.Empty);
            AssertGolden($"{golden}.help.txt", result.Output);
        }
    }

    // UPDATE_GOLDEN=1 rewrites the files; the diff is then reviewed like code.
    private static void AssertGolden(string file, string actual)
    {
        var path = Path.Combine(RepositoryFolder.Of("tests/OtpAuthService.Tests/OtpCtl/Golden"), file);
        if (Environment.GetEnvironmentVariable("UPDATE_GOLDEN") == "1")
        {
            File.WriteAllText(path, actual);
        }

        Assert.That(actual, Is.EqualTo(File.ReadAllText(path)), $"differs from {file}");
    }
}
