using OtpAuthService.Tests.Fixtures;

namespace OtpAuthService.Tests.Clients;

/// <summary>The wire contract as the gRPC stacks and the TOTP of other languages see it, by the real clock.</summary>
public class OtherLanguageTests
{
    private StoresUnderTest stores = null!;
    private ServiceProcess service = null!;

    [OneTimeSetUp]
    public async Task StartAsync()
    {
        stores = await StoresUnderTest.CreateAsync(StoreKind.Sqlite);
        service = await ServiceProcess.StartAsync(stores);
    }

    [OneTimeTearDown]
    public async Task StopAsync()
    {
        await service.DisposeAsync();
        stores.Dispose();
    }

    [TestCase("node", "tests/clients/node/journey.js")]
    // Debian's Python, for which Debian packages gRPC; another one may come first on the path.
    [TestCase("/usr/bin/python3", "tests/clients/python/journey.py")]
    public async Task Contractor_WholeJourneyInAnotherLanguage_IsAnsweredAsExpected(string program, string script)
    {
        using var journey = ChildProcess.Start(program, [RepositoryFolder.Of(script), new Uri(service.Address).Authority]);
        var exitCode = await journey.WaitForExitAsync();
        Assert.That(exitCode, Is.Zero, journey.Output);
    }
}
