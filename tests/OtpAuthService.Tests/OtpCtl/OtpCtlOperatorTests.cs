using OtpAuthService.Tests.Credentials;
using OtpAuthService.Tests.Fixtures;

namespace OtpAuthService.Tests;

/// <summary>Acts of the operator CLI are on record with the person who did them.</summary>
public sealed class OtpCtlOperatorTests
{
    private OtpService service = null!;
    private string file = null!;
    private string registered = null!;

    [OneTimeSetUp]
    public async Task StartAsync()
    {
        service = await OtpService.StartAsync(StoreKind.Sqlite);
        registered = (await service.RegisteredAsync()).Contractor;
        file = Path.Combine(Path.GetDirectoryName(service.Stores.DatabaseFile)!, "tokens.xml");
        await File.WriteAllTextAsync(file, PskcFiles.WithPlainKeys(("ABCD00000001", new byte[20])));
    }

    [OneTimeTearDown]
    public async Task StopAsync() => await service.DisposeAsync();

    [TestCase("SetInstitutionPolicy", "institution set --window strict --reason test")]
    [TestCase("IssueCredential", "credential issue")]
    [TestCase("ImportCredentials", "credential import FILE --apply")]
    [TestCase("StopBypass", "bypass stop --reason test")]
    [TestCase("ResumeBypass", "bypass resume --reason test")]
    [TestCase("SetBypassOptOut", "binding bypass --contractor K-1 --never --reason test")]
    [TestCase("ReportLost", "binding report-lost --contractor REGISTERED --kind lost --reason test")]
    [TestCase("RotateKeys", "key rotate --kind data-key --reason test")]
    public async Task Act_OfAPerson_IsOnRecordWithThem(string rpc, string command)
    {
        string[] args = [.. command.Replace("FILE", file).Replace("REGISTERED", registered).Split(' '), "--address", service.Address];

        var acted = await OtpCtlProcess.RunAsync("", [.. args, "--apply", "--operator", "h.sato@minato"], ("OTPCTL_OPERATOR", "somebody.else"));

        Assert.That(acted.ExitCode, Is.Zero, acted.Errors);
        Assert.That((await service.AuditOfAsync(rpc)).Select(record => record.OperatorId), Has.One.EqualTo("h.sato@minato"));
    }

    [Test]
    public async Task Operator_OfTheEnvironment_IsOnRecord()
    {
        string[] command = ["bypass", "stop", "--institution", "minato", "--reason", "by a variable", "--apply", "--address", service.Address];

        await OtpCtlProcess.RunAsync("", command, ("OTPCTL_OPERATOR", "k.tanaka"));
        await OtpCtlProcess.RunAsync("", command, ("OTPCTL_OPERATOR", ""));

        var stops = (await service.AuditOfAsync("StopBypass")).Where(record => record.Reason == "by a variable");
        Assert.That(stops.Select(record => record.OperatorId ?? ""), Is.EquivalentTo(["k.tanaka", ""]));
    }

    [Test]
    public async Task Operator_OfOtherCharacters_IsRefusedByTheService()
    {
        var result = await OtpCtlProcess.RunAsync("bypass", "resume", "--reason", "test", "--operator", "佐藤", "--address", service.Address);

        Assert.That((result.ExitCode, result.Output), Is.EqualTo((3, "")));
        Assert.That(result.Errors, Does.Contain("  field operator_id: "));
    }
}
