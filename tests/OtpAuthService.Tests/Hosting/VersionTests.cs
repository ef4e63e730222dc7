using OtpAuthService.Tests.Fixtures;
using Tool = OtpCtl.Program;

namespace OtpAuthService.Tests.Hosting;

public sealed class VersionTests
{
    /// <summary>The one that tags give: what was built without is 1.0.0.</summary>
    [Test]
    public async Task Programs_AskedForTheirVersion_TellTheSame()
    {
        var service = await ChildProcess.RunAsync("dotnet", [typeof(Server).Assembly.Location, "--version"]);
        var otpctl = await ChildProcess.RunAsync("dotnet", [typeof(Tool).Assembly.Location, "--version"]);

        Assert.That(service, Does.Match(@"^\d+\.\d+\.\d+").And.Not.StartWith("1.0.0+"));
        Assert.That(otpctl, Is.EqualTo(service));
    }
}
