using OtpAuthService.Tests.Fixtures;

namespace OtpAuthService.Tests.Hosting;

[TestFixture]
[Platform("Linux")]
public class CoreDumpTests
{
    /// <summary>With 64 KiB of core allowed; outside of Production the kernel writes them, so that this test can see a difference.</summary>
    [TestCase("Production", 0)]
    [TestCase("Development", 1)]
    public async Task Process_EndedByASignal_LeavesNoCoreInProduction(string environment, int cores)
    {
        if ((await File.ReadAllTextAsync("/proc/sys/kernel/core_pattern"))[0] is '|' or '/')
        {
            Assert.Ignore("This machine sends cores elsewhere.");
        }

        using var stores = await StoresUnderTest.CreateAsync(StoreKind.Sqlite);
        var folder = Directory.CreateTempSubdirectory("otpauth-core-").FullName;
        string[] settings = ["--OtpAuth:AllowEmbeddedInProduction=true", $"--environment={environment}"];
        var service = ChildProcess.Start(
            "bash",
            ["-c", "ulimit -c 64; cd \"$0\"; exec dotnet \"$@\"", folder, typeof(Server).Assembly.Location, .. OtpService.CommonSettings(stores), .. settings]);
        await Eventually.IsTrueAsync(() => Task.FromResult(service.Output.Contains("Application started", StringComparison.Ordinal)), "the service has started");

        // A signal that ends with a core and that the runtime does not take for itself.
        service.Signal("XCPU");
        await service.WaitForExitAsync();

        Assert.That(Directory.GetFiles(folder, "core*"), Has.Length.EqualTo(cores), service.Output);
        service.Dispose();
        Directory.Delete(folder, recursive: true);
    }
}
