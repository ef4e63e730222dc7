using OtpAuthService.Tests.Credentials;
using OtpAuthService.Tests.Fixtures;

namespace OtpAuthService.Tests;

/// <summary>Acts of the operator CLI are on record with the person who did them.</summary>
public sealed class OtpCtlOperatorTests
{
    // Acts leave traces: each test takes a contractor of its own.
    private readonly Queue<(string Contractor, SoftToken Token)> registered = [];
    private OtpService service = null!;
    private string file = null!;

    [OneTimeSetUp]
    public async Task StartAsync()
    {
        service = await OtpService.StartAsync(StoreKind.Sqlite);
        for (var i = 0; i < 20; i++)
        {
            registered.Enqueue(await service.RegisteredAsync());
        }

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
    [TestCase("OpenReregistration", "binding open-reregistration --contractor LOST --reason test")]
    [TestCase("IssueTemporaryOtp", "binding issue-temporary-otp --contractor REGISTERED --reason test")]
    [TestCase("ConfirmTemporaryOtp", "binding confirm-temporary-otp --contractor WAITING --expires-at EXPIRES --reason test")]
    [TestCase("Unlock", "binding unlock --contractor REGISTERED --reason test")]
    [TestCase("SuspendBinding", "binding stop --contractor REGISTERED --reason test")]
    [TestCase("ResumeBinding", "binding resume --contractor REGISTERED --reason test")]
    [TestCase("SetSupplier", "supplier set --name issued --verify-until never --reason test")]
    [TestCase("RequestExport", "export request --scope registered --reason test")]
    [TestCase("RotateKeys", "key rotate --kind data-key --reason test")]
    public async Task Act_OfAPerson_IsOnRecordWithThem(string rpc, string command)
    {
        string[] args = [.. (await NamedAsync(command)).Split(' '), "--address", service.Address];

        var acted = await OtpCtlProcess.RunAsync("", [.. args, "--apply", "--operator", "h.sato@minato"], ("OTPCTL_OPERATOR", "somebody.else"));

        Assert.That(acted.ExitCode, Is.Zero, acted.Errors);
        Assert.That((await service.AuditOfAsync(rpc)).Select(record => record.OperatorId), Has.One.EqualTo("h.sato@minato"));
    }

    /// <summary>It is no change, and on record all the same.</summary>
    [Test]
    public async Task CheckOtp_ByAPerson_IsOnRecordWithThem()
    {
        var (contractor, token) = registered.Dequeue();

        var acted = await OtpCtlProcess.RunAsync(
            token.At(service.Clock.GetUtcNow()) + "\n",
            ["binding", "check-otp", "--contractor", contractor, "--reason", "cannot log in", "--operator", "h.sato@minato", "--address", service.Address]);

        Assert.That(acted.ExitCode, Is.Zero, acted.Errors);
        Assert.That((await service.AuditOfAsync("CheckOtp")).Select(record => (record.OperatorId, record.Reason)), Is.EqualTo(new[] { ("h.sato@minato", "cannot log in") }));
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

    private async Task<string> NamedAsync(string command)
    {
        var (contractor, _) = registered.Dequeue();
        if (command.Contains("LOST", StringComparison.Ordinal))
        {
            await service.Operations.ReportLostAsync(contractor);
        }

        if (command.Contains("WAITING", StringComparison.Ordinal))
        {
            var set = await OtpCtlProcess.RunAsync("institution", "set", "--temporary-otp-confirmation", "needed", "--reason", "four eyes", "--apply", "--address", service.Address);
            Assert.That(set.ExitCode, Is.Zero, set.Errors);
            var issued = await service.Operations.IssueTemporaryOtpAsync(contractor, person: "m.ito");
            command = command.Replace("EXPIRES", $"{issued.ExpiresAt.ToDateTimeOffset():O}");
        }

        return command.Replace("FILE", file).Replace("REGISTERED", contractor).Replace("LOST", contractor).Replace("WAITING", contractor);
    }
}
