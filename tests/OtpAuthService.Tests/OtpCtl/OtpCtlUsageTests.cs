using OtpAuthService.Tests.Fixtures;

namespace OtpAuthService.Tests;

public sealed class OtpCtlUsageTests
{
    [TestCase("")]
    [TestCase("credential")]
    [TestCase("token issue")]
    [TestCase("credential issue --digits 7")]
    [TestCase("credential issue --period 45")]
    [TestCase("credential issue --algorithm md5")]
    [TestCase("credential import")]
    [TestCase("credential import /no/such/file")]
    [TestCase("binding verify --otp 123456")]
    [TestCase("binding verify --contractor a --channel fax --otp 123456")]
    [TestCase("binding verify --contractor a")]
    [TestCase("binding register --contractor a --otp 123456")]
    [TestCase("--address otp.example:5080 demo")]
    [TestCase("--address http://otp.example:5080 demo")]
    public async Task CommandLine_Wrong_Exits2AndSendsNothing(string command)
    {
        var result = await OtpCtlProcess.RunAsync(command.Split(' ', StringSplitOptions.RemoveEmptyEntries));

        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.EqualTo(2));
            Assert.That(result.Output, Is.Empty);
            Assert.That(result.Errors, Does.StartWith("otpctl: ").And.Not.Contains("   at "));
        }
    }

    [Test]
    public async Task Import_KeyTwice_Exits2()
    {
        var file = Path.GetTempFileName();

        var result = await OtpCtlProcess.RunAsync("credential", "import", file, "--key-file", file, "--key-stdin");

        File.Delete(file);
        Assert.That(result.Errors, Does.Contain("exclude each other"));
        Assert.That(result.ExitCode, Is.EqualTo(2));
    }

    [Test]
    public async Task Call_NobodyListens_Exits4WithASentenceAndTheRequestIdToRepeat()
    {
        var result = await OtpCtlProcess.RunAsync(
            "123456\n", ["binding", "verify", "--contractor", "K-1", "--address", $"http://127.0.0.1:{Loopback.FreePort()}", "--request-id", "0123456789abcdef"]);

        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.EqualTo(4));
            Assert.That(result.Output, Is.Empty);
            Assert.That(result.Errors, Does.StartWith("otpctl: no result from the service at http://127.0.0.1:").And.Contains("UNAVAILABLE")
                .And.Contains("--request-id 0123456789abcdef").And.Not.Contains("   at ").And.Not.Contains("123456\n"));
        }
    }
}
