using OtpAuthService.Tests.Credentials;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;
using OtpNet;

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
    [TestCase("binding replace --contractor REGISTERED --credential ABCD12345678", "now.requirement: REQUIRED", "request.new_credential_id: ABCD12345678")]
    [TestCase("binding resynchronize --contractor REGISTERED", "now.requirement: REQUIRED", "rpc: Resynchronize")]
    [TestCase("binding open-reregistration --contractor LOST --valid-for 12h --reason test", "now.history[0].state: LOST", "request.valid_for: 43200 s")]
    [TestCase("binding issue-temporary-otp --contractor LOST --uses 2 --reason test", "now.history[0].state: LOST", "request.uses: 2")]
    [TestCase("binding confirm-temporary-otp --contractor REGISTERED --expires-at 2026-04-01T00:00Z --reason test", "now.history[0].state: ACTIVE", "rpc: ConfirmTemporaryOtp")]
    [TestCase("binding unlock --contractor REGISTERED --reason test", "now.consecutive_failures: 0", "rpc: Unlock")]
    [TestCase("binding stop --contractor REGISTERED --reason test", "now.history[0].state: ACTIVE", "rpc: SuspendBinding")]
    [TestCase("binding resume --contractor REGISTERED --reason test", "now.history[0].state: ACTIVE", "rpc: ResumeBinding")]
    [TestCase("supplier set --name issued --verify-until 2040-01-01T00:00Z --reason test", "change.verify_until: - → 2040-01-01T00:00:00.000Z", "rpc: SetSupplier")]
    [TestCase("supplier set --name unheard-of --verify-until 2040-01-01T00:00Z --reason test", "now: nothing", "request.supplier.verify_until: 2040-01-01T00:00:00.000Z")]
    [TestCase("export request --scope registered-and-unused --supplier issued --reason test", "now: nothing", "request.scope: REGISTERED_AND_UNUSED")]
    [TestCase("export confirm --id 0f8fad5bd9cb469fa16570867728950e --reason test", "now: not told", "request.export_id: 0f8fad5bd9cb469fa16570867728950e")]
    [TestCase("export fetch --id 0f8fad5bd9cb469fa16570867728950e --file leaving.pskc --password-stdin", "now: not told", "request.export_id: 0f8fad5bd9cb469fa16570867728950e")]
    [TestCase("bypass stop --reason test", "rpc: StopBypass", "request.reason: test")]
    [TestCase("bypass resume --reason test", "rpc: ResumeBypass", "request.reason: test")]
    [TestCase("key rotate --kind data-key --reason test", "rpc: RotateKeys", "request.kind: DATA_KEY")]
    public async Task Change_WithoutApply_ShowsAndDoesNothing(string command, string line, string another)
    {
        var registered = (await service.RegisteredAsync()).Contractor;
        var lost = (await service.RegisteredAsync()).Contractor;
        await service.Operations.ReportLostAsync(lost);
        var file = Path.Combine(Path.GetDirectoryName(service.Stores.DatabaseFile)!, "dry.xml");
        await File.WriteAllTextAsync(file, PskcFiles.WithPlainKeys(("ABCD00000009", new byte[20])));
        string[] args = [.. command.Replace("FILE", file).Replace("REGISTERED", registered).Replace("LOST", lost).Split(' '), "--address", service.Address];
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
    [TestCase("binding replace --contractor K-1 --credential AB", "new_credential_id")]
    [TestCase("binding unlock --contractor K/1 --reason test", "contractor_id")]
    [TestCase("binding stop --contractor K-1 --reason test --operator 佐藤", "operator_id")]
    [TestCase("binding open-reregistration --contractor K-1 --valid-for 9m --reason test", "valid_for")]
    [TestCase("binding open-reregistration --contractor K-1 --valid-for 8d --reason test", "valid_for")]
    [TestCase("binding open-reregistration --contractor K-1 --valid-for 0h --reason test", "valid_for")]
    [TestCase("binding issue-temporary-otp --contractor K-1 --valid-for 73h --reason test", "valid_for")]
    [TestCase("binding issue-temporary-otp --contractor K-1 --valid-for 999999w --reason test", "valid_for")]
    [TestCase("supplier set --name issued --no-registration-from 2041-01-01 --verify-until 2040-01-01 --reason test", "supplier.verify_until")]
    [TestCase("export request --scope registered --supplier LONG --reason test", "supplier")]
    [TestCase("export confirm --id abc --reason test", "export_id")]
    [TestCase("institution set --temporary-limit 6 --reason test", "policy.temporary_limit")]
    [TestCase("key rotate --kind kek --reason test --operator 佐藤", "operator_id")]
    [TestCase("bypass stop --reason test --request-id short", "request_id")]
    public async Task DryRun_OfWhatTheServiceWouldRefuse_IsRefusedLikewise(string command, string field)
    {
        string[] args = [.. command.Replace("LONG", new string('x', 65)).Split(' '), "--address", service.Address];

        var dry = await OtpCtlProcess.RunAsync(args);
        var applied = await OtpCtlProcess.RunAsync("000000\n000000\n", [.. args, "--apply"]);

        Assert.That(dry.Errors, Does.Contain($"  field {field}: "));
        Assert.That((dry.ExitCode, dry.Output, dry.Errors), Is.EqualTo((applied.ExitCode, applied.Output, applied.Errors)));
    }

    /// <summary>What is left to the service is not told as if it were set.</summary>
    [Test]
    public async Task DryRun_OfWhatIsLeftToTheService_IsSilentAboutIt()
    {
        var lost = (await service.RegisteredAsync()).Contractor;
        var dry = await OtpCtlProcess.RunAsync("binding", "issue-temporary-otp", "--contractor", lost, "--reason", "test", "--address", service.Address);

        Assert.That(dry.Output, Does.Contain("request.reason: test\n").And.Not.Contains("request.uses").And.Not.Contains("request.valid_for").And.Not.Contains("request.operator_id"));
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
    public async Task Transcript_OfTheLifeOfABinding_IsAsInTheGoldenFile()
    {
        await using var own = await OtpService.StartAsync(StoreKind.Sqlite);
        var transcript = new Transcript { Environment = [("OTPCTL_ADDRESS", own.Address)] };
        var now = own.Clock.GetUtcNow();
        var issued = (await transcript.RunAsync("credential issue --operator h.sato --apply")).Output.Split('\n').Select(line => line.Split(": ")[^1]).ToList();
        var token = new SoftToken(issued[0], issued[1]);
        var another = await own.Operations.IssueAsync();
        transcript.Replace(token.CredentialId, "CREDENTIAL");
        transcript.Replace(Base32Encoding.ToString(token.Key), "KEY");
        transcript.Replace(another.CredentialId, "ANOTHER");
        await transcript.RunAsync("binding register --contractor K-1 --credential CREDENTIAL --apply", stdin: token.At(now) + "\n");
        await transcript.RunAsync("binding report-lost --contractor K-1 --kind stolen --reason 'called the help desk' --operator h.sato --apply");
        await transcript.RunAsync("binding open-reregistration --contractor K-1 --valid-for 48h --reason 'came to the branch' --operator h.sato");
        await transcript.RunAsync("binding open-reregistration --contractor K-1 --valid-for 48h --reason 'came to the branch' --operator h.sato --apply");
        await transcript.RunAsync("institution set --temporary-otp-confirmation needed --reason 'four eyes' --apply");
        var temporary = await transcript.RunAsync("binding issue-temporary-otp --contractor K-1 --uses 2 --reason 'a new token is on its way' --operator h.sato --apply");
        var otp = temporary.Output.Split('\n')[0].Split(": ")[1];
        var expires = temporary.Output.Split('\n')[1].Split(": ")[1];
        transcript.Replace(otp, "TEMPORARY");
        await transcript.RunAsync($"binding confirm-temporary-otp --contractor K-1 --expires-at {expires} --uses 2 --reason 'called back' --operator h.sato --apply");
        await transcript.RunAsync($"binding confirm-temporary-otp --contractor K-1 --expires-at {expires} --uses 2 --reason 'called back' --operator m.ito");
        await transcript.RunAsync($"binding confirm-temporary-otp --contractor K-1 --expires-at {expires} --uses 2 --reason 'called back' --operator m.ito --apply");
        await transcript.RunAsync("binding verify --contractor K-1", stdin: otp + "\n");
        await transcript.RunAsync("binding register --contractor K-1 --credential ANOTHER --apply", stdin: another.At(now, -1) + "\n");
        await transcript.RunAsync("binding verify --contractor K-1", stdin: another.WrongAt(now) + "\n");
        await transcript.RunAsync("binding unlock --contractor K-1 --reason 'mistyped, called back'");
        await transcript.RunAsync("binding unlock --contractor K-1 --reason 'mistyped, called back' --apply");
        await transcript.RunAsync("binding stop --contractor K-1 --reason 'account frozen' --apply");
        await transcript.RunAsync("binding verify --contractor K-1", stdin: another.At(now) + "\n");
        await transcript.RunAsync("binding resume --contractor K-1 --reason 'account released' --json");
        await transcript.RunAsync("binding resume --contractor K-1 --reason 'account released' --json --apply");
        await transcript.RunAsync("binding check-otp --contractor K-1 --reason 'does it work again?'", stdin: another.At(now, 1) + "\n");
        await transcript.RunAsync("binding show --contractor K-1");
        transcript.AssertGolden("binding.transcript.txt");
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
