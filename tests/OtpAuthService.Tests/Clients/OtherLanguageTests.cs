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

    /// <summary>The same by mutual TLS, as a caller with the roles of the journey.</summary>
    [TestCase("node", "tests/clients/node/journey.js")]
    [TestCase("/usr/bin/python3", "tests/clients/python/journey.py")]
    public async Task Contractor_WholeJourneyOverMutualTls_IsAnsweredAsExpected(string program, string script)
    {
        var now = TimeProvider.System.GetUtcNow();
        using var callers = new CallersUnderTest(
            new CallerRow("journey", ["Frontend", "MobileGateway", "Operator"], "demo", "minato") { Bypass = [new GrantRow("demo", now.AddDays(-1), now.AddDays(30))] });
        using var own = await StoresUnderTest.CreateAsync(StoreKind.Sqlite);
        await using var secured = await ServiceProcess.StartAsync(own, callers.Settings);
        var certificate = callers.CertificateOf("journey");
        using var journey = ChildProcess.Start(
            program, [RepositoryFolder.Of(script), secured.TlsAuthority, certificate.CertificateFile, certificate.KeyFile, callers.TrustFile]);
        var exitCode = await journey.WaitForExitAsync();
        Assert.That(exitCode, Is.Zero, journey.Output);
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
