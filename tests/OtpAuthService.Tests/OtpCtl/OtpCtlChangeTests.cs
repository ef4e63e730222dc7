using OtpAuthService.Tests.Credentials;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests;

/// <summary>A command that changes something has changed nothing until --apply: it says what is there and what would be done.</summary>
public sealed class OtpCtlChangeTests
{
    private OtpService service = null!;

    [OneTimeSetUp]
    public async Task StartAsync() => service = await OtpService.StartAsync(StoreKind.Sqlite);

    [OneTimeTearDown]
    public async Task StopAsync() => await service.DisposeAsync();

    /// <summary>Each command that the service is asked to change something by. The shape of what is printed is the same for all; only what differs is looked at.</summary>
    [TestCase("institution set --window strict --reason test", "change.policy.acceptance_window: DEFAULT → STRICT", "rpc: SetInstitutionPolicy")]
    [TestCase("credential issue --digits 8", "now: nothing", "request.digits: 8")]
    [TestCase("credential import FILE --supplier Example", "imported: 1", "repeated: false")]
    [TestCase("binding register --contractor K-DRY --credential ABCD12345678", "now.requirement: NOT_REGISTERED", "request.credential_id: ABCD12345678")]
    [TestCase("binding suspend --contractor REGISTERED", "now.requirement: REQUIRED", "rpc: Suspend")]
    [TestCase("binding report-lost --contractor REGISTERED --kind stolen --reason test", "now.history[0].state: ACTIVE", "request.kind: STOLEN")]
    [TestCase("binding bypass --contractor REGISTERED --never --reason test", "rpc: SetBypassOptOut", "request.reason: test")]
    [TestCase("bypass stop --reason test", "rpc: StopBypass", "request.reason: test")]
    [TestCase("bypass resume --reason test", "rpc: ResumeBypass", "request.reason: test")]
    [TestCase("key rotate --kind data-key --reason test", "rpc: RotateKeys", "request.kind: DATA_KEY")]
    public async Task Change_WithoutApply_ShowsAndDoesNothing(string command, string line, string another)
    {
        var registered = (await service.RegisteredAsync()).Contractor;
        var file = Path.Combine(Path.GetDirectoryName(service.Stores.DatabaseFile)!, "dry.xml");
        await File.WriteAllTextAsync(file, PskcFiles.WithPlainKeys(("ABCD00000009", new byte[20])));
        string[] args = [.. command.Replace("FILE", file).Replace("REGISTERED", registered).Split(' '), "--address", service.Address];
        var before = await service.TracesAsync();

        // Its stdin is empty: whoever asked for a secret would get none and say so.
        var plain = await OtpCtlProcess.RunAsync(args);
        var json = await OtpCtlProcess.RunAsync([.. args, "--json"]);

        Assert.That((plain.ExitCode, json.ExitCode), Is.EqualTo((0, 0)), plain.Errors + json.Errors);
        Assert.That(plain.Output, Does.Contain(line).And.Contains(another).And.Contains("applied: false\n"));
        Assert.That((bool)System.Text.Json.Nodes.JsonNode.Parse(json.Output)!["applied"]!, Is.False);
        Assert.That(new[] { plain.Errors, json.Errors }, Has.All.EqualTo("otpctl: dry run, nothing was changed. Add --apply to do it.\n"));
        Assert.That(await service.TracesAsync(), Is.EqualTo(before));
    }

    [TestCase("binding register --contractor K/1 --credential ABCD12345678", "contractor_id")]
    [TestCase("binding register --contractor K-1 --credential AB", "credential_id")]
    [TestCase("institution set --temporary-limit 6 --reason test", "policy.temporary_limit")]
    [TestCase("key rotate --kind kek --reason test --operator 佐藤", "operator_id")]
    [TestCase("bypass stop --reason test --request-id short", "request_id")]
    public async Task DryRun_OfWhatTheServiceWouldRefuse_IsRefusedLikewise(string command, string field)
    {
        string[] args = [.. command.Split(' '), "--address", service.Address];

        var dry = await OtpCtlProcess.RunAsync(args);
        var applied = await OtpCtlProcess.RunAsync("000000\n", [.. args, "--apply"]);

        Assert.That(dry.Errors, Does.Contain($"  field {field}: "));
        Assert.That((dry.ExitCode, dry.Output, dry.Errors), Is.EqualTo((applied.ExitCode, applied.Output, applied.Errors)));
    }

    [Test]
    public async Task Import_OfAFileThatWouldBeRefused_SaysSoInADryRun()
    {
        var file = Path.Combine(Path.GetDirectoryName(service.Stores.DatabaseFile)!, "encrypted.xml");
        await File.WriteAllTextAsync(file, PskcFiles.AsTotp(PskcFiles.Figure6));

        var wrong = await OtpCtlProcess.RunAsync("00112233445566778899aabbccddeeff\n", ["credential", "import", file, "--key-stdin", "--address", service.Address]);
        var right = await OtpCtlProcess.RunAsync(PskcFiles.PreSharedKey, ["credential", "import", file, "--key-stdin", "--address", service.Address]);

        Assert.That(wrong.ExitCode, Is.EqualTo(3));
        Assert.That(wrong.Errors, Does.StartWith("otpctl: INVALID_ARGUMENT: ").And.Contain("the pre-shared key is another one"));
        Assert.That(right.Output, Is.EqualTo("imported: 1\nrepeated: false\napplied: false\n"));
    }

    [Test]
    public async Task Transcript_OfAnInstitutionsPolicy_IsAsInTheGoldenFile()
    {
        await using var own = await OtpService.StartAsync(StoreKind.Sqlite);
        var transcript = new Transcript { Environment = [("OTPCTL_ADDRESS", own.Address), ("OTPCTL_INSTITUTION", "minato")] };
        await transcript.RunAsync("institution show");
        await transcript.RunAsync("institution set --display-name '湊信用金庫' --temporary-limit 3 --channels-needing-otp pc --reason 'audit finding 7'");
        await transcript.RunAsync("institution set --display-name '湊信用金庫' --temporary-limit 3 --channels-needing-otp pc --reason 'audit finding 7' --apply");
        await transcript.RunAsync("institution set --temporary-limit 6 --reason 'too hard'");
        await transcript.RunAsync("institution show --json");
        await transcript.RunAsync("bypass stop --reason 'strange calls' --json");
        transcript.AssertGolden("institution.transcript.txt");
    }
}
