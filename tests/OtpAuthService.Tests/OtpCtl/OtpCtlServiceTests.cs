using System.Text.Json.Nodes;
using Microsoft.Extensions.Time.Testing;
using OtpAuthService.Tests.Credentials;
using OtpAuthService.Tests.Fixtures;

namespace OtpAuthService.Tests;

/// <summary>The operator CLI against the service, both as processes of their own with the machine's clock.</summary>
public sealed class OtpCtlServiceTests
{
    private readonly string address = $"http://127.0.0.1:{Loopback.FreePort()}";
    private StoresUnderTest stores = null!;
    private ChildProcess service = null!;

    [OneTimeSetUp]
    public async Task StartAsync()
    {
        stores = await StoresUnderTest.CreateAsync(StoreKind.Sqlite);
        service = ChildProcess.Start(
            "dotnet",
            [
                Path.Combine(AppContext.BaseDirectory, "OtpAuthService.dll"),
                .. OtpService.CommonSettings(stores),
                $"--Kestrel:Endpoints:Grpc:Url={address}",
            ]);
        await Eventually.IsTrueAsync(() => Task.FromResult(service.Output.Contains("Application started")), "the service has started");
    }

    [OneTimeTearDown]
    public void Stop()
    {
        service.Dispose();
        stores.Dispose();
    }

    [Test]
    public async Task Institution_SetAndShown_ChangesOnlyWhatIsNamed()
    {
        var set = await OtpCtlAsync(
            "institution", "set", "--institution", "minato", "--hard-limit", "8", "--temporary-lock", "01:00:00", "--channels-needing-otp", "pc", "--reason", "a test", "--apply", "--json");
        Assert.That((set.ExitCode, (int)Json(set)["policy_version"]!), Is.EqualTo((0, 2)), set.Errors);
        await OtpCtlAsync("institution", "set", "--institution", "minato", "--window", "strict", "--reason", "a test", "--apply");

        var shown = Json(await OtpCtlAsync("institution", "show", "--institution", "minato", "--json"));
        var policy = shown["policy"]!;
        using (Assert.EnterMultipleScope())
        {
            Assert.That((int)shown["policy_version"]!, Is.EqualTo(3));
            Assert.That((int)policy["hard_limit"]!, Is.EqualTo(8));
            Assert.That((int)policy["temporary_limit"]!, Is.EqualTo(5));
            Assert.That((string)policy["temporary_lock"]!, Is.EqualTo("3600s"));
            Assert.That((string)policy["acceptance_window"]!, Is.EqualTo("ACCEPTANCE_WINDOW_PROFILE_STRICT"));
            Assert.That(policy["channels_needing_otp"]!.AsArray().Select(c => (string)c!), Is.EqualTo(new[] { "CHANNEL_PC_BROWSER" }));
        }
    }

    [TestCase("institution set --reason test", "nothing to change")]
    [TestCase("institution set --window wide --reason test", "'wide'")]
    [TestCase("institution set --window strict", "--reason")]
    [TestCase("bypass stop", "--reason")]
    [TestCase("binding bypass --contractor K-1 --reason test", "One of --never and --allow is needed.")]
    [TestCase("binding bypass --contractor K-1 --never --allow --reason test", "One of --never and --allow is needed.")]
    [TestCase("binding report-lost --contractor K-1 --reason test", "--kind")]
    public async Task Act_WithoutWhatItNeeds_IsAUsageError(string command, string sentence)
    {
        var result = await OtpCtlAsync(command.Split(' '));
        Assert.That((result.ExitCode, result.Output), Is.EqualTo((2, "")));
        Assert.That(result.Errors, Does.Contain(sentence));
    }

    [Test]
    public async Task Institution_SetBeyondP5_IsRefusedByTheService()
    {
        var result = await OtpCtlAsync("institution", "set", "--temporary-limit", "6", "--reason", "a test", "--apply");
        Assert.That(result.ExitCode, Is.EqualTo(3));
        Assert.That(result.Errors, Does.Contain("policy.temporary_limit must be from 1 to 5"));
    }

    [Test]
    public async Task Institution_WhoseRecordsHashContractors_IsShown()
    {
        string[] minato = ["--institution", "minato"];
        Assert.That((await OtpCtlAsync([.. minato, "institution", "set", "--audit-contractor-ids", "keyed-hash", "--reason", "a test", "--apply"])).ExitCode, Is.Zero);
        Assert.That((await OtpCtlAsync([.. minato, "institution", "show"])).Output, Does.Contain("policy.audit_contractor_ids: KEYED_HASH\n"));
        Assert.That((await OtpCtlAsync([.. minato, "institution", "set", "--audit-contractor-ids", "plain", "--reason", "a test", "--apply"])).ExitCode, Is.Zero);
        Assert.That((await OtpCtlAsync([.. minato, "institution", "show"])).Output, Does.Contain("policy.audit_contractor_ids: PLAIN\n"));
    }

    [Test]
    public async Task Bypass_StoppedAndResumed_IsShownByTheInstitution()
    {
        Assert.That((await OtpCtlAsync("bypass", "stop", "--institution", "minato", "--reason", "a test", "--apply")).ExitCode, Is.Zero);
        Assert.That(Json(await OtpCtlAsync("institution", "show", "--institution", "minato", "--json"))["bypass_stopped_at"], Is.Not.Null);
        Assert.That((await OtpCtlAsync("bypass", "resume", "--institution", "minato", "--reason", "a test", "--apply")).ExitCode, Is.Zero);
        Assert.That(Json(await OtpCtlAsync("institution", "show", "--institution", "minato", "--json"))["bypass_stopped_at"], Is.Null);
    }

    [Test]
    public async Task Binding_OptedOutOfTheBypass_IsShown()
    {
        Assert.That((await OtpCtlAsync("binding", "bypass", "--contractor", "K-BYPASS", "--never", "--reason", "a test", "--apply")).ExitCode, Is.Zero);
        Assert.That((bool)Json(await OtpCtlAsync("binding", "show", "--contractor", "K-BYPASS", "--json"))["never_bypassed"]!, Is.True);
        await OtpCtlAsync("binding", "bypass", "--contractor", "K-BYPASS", "--allow", "--reason", "a test", "--apply");
        Assert.That((bool)Json(await OtpCtlAsync("binding", "show", "--contractor", "K-BYPASS", "--json"))["never_bypassed"]!, Is.False);
    }

    [Test]
    public async Task Binding_ReportedLostWithoutOne_IsRefused()
    {
        var result = await OtpCtlAsync("binding", "report-lost", "--contractor", "K-NOBODY", "--kind", "stolen", "--reason", "a test", "--apply");
        Assert.That((result.ExitCode, result.Output), Is.EqualTo((3, "")));
        Assert.That(result.Errors, Does.Contain("no active binding"));
    }

    [Test]
    public async Task Demo_RunTwice_WalksTheWholeJourneyEachTime()
    {
        for (var run = 1; run <= 2; run++)
        {
            var result = await OtpCtlAsync("demo", "--json");

            Assert.That(result.ExitCode, Is.Zero, result.Errors);
            Assert.That(
                Json(result)["steps"]!.AsArray().Select(step => $"{step!["outcome"]} {step["decision"]}{((bool)step["repeated"]! ? " again" : "")}".Trim()),
                Is.EqualTo(
                [
                    "",
                    "REQUIREMENT_NOT_REGISTERED",
                    "OUTCOME_ACCEPTED DECISION_ALLOW",
                    "REQUIREMENT_REQUIRED",
                    "OUTCOME_ACCEPTED DECISION_ALLOW",
                    "OUTCOME_ALREADY_USED DECISION_DENY",
                    "OUTCOME_ACCEPTED DECISION_ALLOW again",
                    "OUTCOME_ALREADY_USED DECISION_DENY",
                    "OUTCOME_MISMATCH DECISION_DENY",
                    "OUTCOME_BYPASSED DECISION_ALLOW",
                    "OUTCOME_ACCEPTED DECISION_ALLOW",
                    "OUTCOME_SUSPENDED DECISION_ALLOW",
                    "OUTCOME_SUSPENDED DECISION_DENY",
                    "",
                    "OUTCOME_ACCEPTED DECISION_ALLOW",
                    "OUTCOME_ACCEPTED DECISION_ALLOW",
                ]));
        }
    }

    [Test]
    public async Task Demo_Piped_PrintsEachStepWithItsTermAndAnswer()
    {
        var result = await OtpCtlAsync("demo");

        Assert.That(result.Output, Does.Contain(
            """
             3. Register the credential (利用登録)
                Register, OTP of T-1
                → ACCEPTED, ALLOW, attempts left: 5
            """));
        Assert.That(result.Errors, Does.EndWith("16 steps, each answered as expected.\n"));
    }

    [Test]
    public async Task Demo_WhoseReaderLeaves_EndsQuietlyAndAtOnce()
    {
        var result = await OtpCtlProcess.ReadOneLineAsync("demo", "--address", address);

        Assert.That(result.Output, Does.StartWith("Contractor "));
        Assert.That((result.ExitCode, result.Errors), Is.EqualTo((0, "")), "it did not walk on to its 16th step, and does not complain");
    }

    [Test]
    public async Task Demo_ServiceWithAnotherClock_StopsAtTheFirstSurprise()
    {
        var anHourAgo = new FakeTimeProvider(TimeProvider.System.GetUtcNow().AddHours(-1));
        using var itsStores = await StoresUnderTest.CreateAsync(StoreKind.Sqlite);
        await using var slow = await OtpService.StartAsync(itsStores, anHourAgo);

        var result = await OtpCtlProcess.RunAsync("demo", "--address", slow.Address);

        Assert.That(result.ExitCode, Is.EqualTo(1));
        Assert.That(result.Errors, Does.Contain("otpctl: step 3 (Register the credential): expected ACCEPTED, ALLOW, got "));
    }

    [Test]
    public async Task Demo_ForeignInstitution_Exits3()
    {
        var result = await OtpCtlAsync("demo", "--institution", "elsewhere");

        Assert.That(result.ExitCode, Is.EqualTo(3));
        Assert.That(result.Errors, Does.StartWith("otpctl: PERMISSION_DENIED: ").And.Contains("  reason: "));
    }

    [Test]
    public async Task Commands_InTheLifeOfACredential_AnswerAndExitAsDecided()
    {
        var contractor = Calls.NewContractor();
        var token = await IssueAsync();
        var now = await MomentEarlyInAStepAsync(token.PeriodSeconds);
        Assert.That((await OtpCtlAsync("credential", "show", token.CredentialId)).Output, Does.Contain("\nstatus: ACTIVE\n"));

        string[] register = ["binding", "register", "--contractor", contractor, "--credential", token.CredentialId, "--apply"];
        var registered = await OtpCtlAsync(stdin: token.At(now, -1) + "\n", register);
        Assert.That(registered.ExitCode, Is.Zero, registered.Output + registered.Errors);
        Assert.That(registered.Output, Does.StartWith("outcome: ACCEPTED\ndecision: ALLOW\nattempts_left: 5\ndecided_at: "));

        string[] verify = ["binding", "verify", "--contractor", contractor, "--purpose", "transfer"];
        var wrong = await OtpCtlAsync(stdin: token.WrongAt(now) + "\n", verify);
        Assert.That(wrong.ExitCode, Is.EqualTo(1), wrong.Errors);
        Assert.That(wrong.Output, Does.StartWith("outcome: MISMATCH\ndecision: DENY\nattempts_left: 4\n"));

        string[] right = [.. verify, "--json", "--request-id", Calls.NewRequestId()];
        var accepted = Json(await OtpCtlAsync(stdin: token.At(now) + "\n", right));
        var again = Json(await OtpCtlAsync(stdin: token.At(now) + "\n", right));
        Assert.That(($"{accepted["outcome"]}", (bool)accepted["repeated"]!), Is.EqualTo(("OUTCOME_ACCEPTED", false)));
        Assert.That(($"{again["outcome"]}", (bool)again["repeated"]!), Is.EqualTo(("OUTCOME_ACCEPTED", true)));

        var suspended = await OtpCtlAsync(stdin: token.At(now, 1) + "\n", ["binding", "suspend", "--contractor", contractor, "--apply"]);
        Assert.That(suspended.ExitCode, Is.Zero, suspended.Output + suspended.Errors);
        var shown = await OtpCtlAsync("binding", "show", "--contractor", contractor);
        Assert.That(shown.Output, Does.Contain("history[0].state: SUSPENDED\n").And.Contains("consecutive_failures: 0\n"));
    }

    [Test]
    public async Task Verify_MalformedOtp_Exits3AndNamesTheField()
    {
        var result = await OtpCtlAsync(stdin: "１２３４５６\n", ["binding", "verify", "--contractor", "K-1"]);

        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.EqualTo(3));
            Assert.That(result.Output, Is.Empty);
            Assert.That(result.Errors, Does.StartWith("otpctl: INVALID_ARGUMENT: ").And.Contains("\n  field otp: ").And.Not.Contains("   at "));
        }
    }

    [Test]
    public async Task Show_UnknownCredential_Exits3()
    {
        var result = await OtpCtlAsync("credential", "show", "ZZZZ00000000");

        Assert.That(result.ExitCode, Is.EqualTo(3));
        Assert.That(result.Errors, Does.StartWith("otpctl: NOT_FOUND: "));
    }

    [Test]
    public async Task Import_EncryptedFile_NeedsItsKeyAndIsTakenInOnce()
    {
        var file = await WriteAsync("tokens.xml", PskcFiles.AsTotp(PskcFiles.Figure6));
        var keyFile = await WriteAsync("key.hex", PskcFiles.PreSharedKey + "\n");

        var withoutKey = await OtpCtlAsync("credential", "import", file);
        var wrongKey = await OtpCtlAsync(stdin: "00112233445566778899aabbccddeeff\n", ["credential", "import", file, "--key-stdin"]);
        var notHex = await OtpCtlAsync(stdin: "secret\n", ["credential", "import", file, "--key-stdin"]);
        var looked = await OtpCtlAsync("credential", "import", file, "--key-file", keyFile);
        var notThere = await OtpCtlAsync("credential", "show", "12345678");
        var imported = await OtpCtlAsync("credential", "import", file, "--key-file", keyFile, "--supplier", "トークン株式会社", "--json", "--apply");
        var twice = await OtpCtlAsync(stdin: PskcFiles.PreSharedKey, ["credential", "import", file, "--key-stdin", "--apply"]);
        var shown = await OtpCtlAsync("credential", "show", "12345678");

        using (Assert.EnterMultipleScope())
        {
            Assert.That((withoutKey.ExitCode, withoutKey.Errors), Is.EqualTo((2, "otpctl: the keys in the file are encrypted: give --key-file or --key-stdin.\n")));
            Assert.That((notHex.ExitCode, notHex.Errors), Is.EqualTo((2, "otpctl: the pre-shared key is not in hex.\n")));
            Assert.That(wrongKey.ExitCode, Is.EqualTo(3), wrongKey.Errors);
            Assert.That(
                (looked.ExitCode, looked.Output, looked.Errors),
                Is.EqualTo((0, "imported: 1\nrepeated: false\napplied: false\n", "otpctl: dry run, nothing was changed. Add --apply to do it.\n")));
            Assert.That(notThere.ExitCode, Is.EqualTo(3));
            Assert.That((imported.ExitCode, imported.Output, imported.Errors), Is.EqualTo((0, """{"applied":true,"imported":1,"repeated":false}""" + "\n", "")));
            Assert.That(twice.ExitCode, Is.EqualTo(3));
            Assert.That(twice.Errors, Does.StartWith("otpctl: ALREADY_EXISTS: "));
            Assert.That(shown.Output, Does.Contain("\nsupplier: トークン株式会社\n"));
        }
    }

    [Test]
    public async Task Import_FileUnderAPassword_NeedsIt()
    {
        var file = await WriteAsync("password.xml", PskcFiles.AsTotp(PskcFiles.Figure7));
        var passwordFile = await WriteAsync("password", "qwerty\n");

        var without = await OtpCtlAsync("credential", "import", file);
        var wrong = await OtpCtlAsync(stdin: "Qwerty\n", ["credential", "import", file, "--password-stdin"]);
        var fromStdin = await OtpCtlAsync(stdin: "qwerty\n", ["credential", "import", file, "--password-stdin"]);
        var fromFile = await OtpCtlAsync("credential", "import", file, "--password-file", passwordFile, "--apply");

        using (Assert.EnterMultipleScope())
        {
            Assert.That((without.ExitCode, without.Errors), Is.EqualTo((2, "otpctl: the keys in the file are encrypted under a password: give --password-file or --password-stdin.\n")));
            Assert.That((wrong.ExitCode, wrong.Errors), Is.EqualTo((3, wrong.Errors)));
            Assert.That(wrong.Errors, Does.Contain("the password is another one"));
            Assert.That((fromStdin.ExitCode, fromStdin.Output), Is.EqualTo((0, "imported: 1\nrepeated: false\napplied: false\n")), fromStdin.Errors);
            Assert.That((fromFile.ExitCode, fromFile.Output), Is.EqualTo((0, "imported: 1\nrepeated: false\n")), fromFile.Errors);
        }
    }

    [Test]
    public async Task Import_CsvWithFaults_TellsEachWithItsLine()
    {
        var file = await WriteAsync("tokens.csv", "AAAA0001,00,totp\nAAAA0002,3132333435363738393031323334353637383930,hotp\n");

        var result = await OtpCtlAsync("credential", "import", file, "--format", "csv", "--apply");

        Assert.That((result.ExitCode, result.Output), Is.EqualTo((3, "")));
        Assert.That(result.Errors, Does.Contain("  field chunk: is not a file that can be imported: Line 1 has a key of 8 bits; 128 to 512 are supported.\n"));
        Assert.That(result.Errors, Does.Contain("  field chunk: is not a file that can be imported: Line 2 holds an HOTP (counter-based) key; only TOTP keys can be imported.\n"));
    }

    private async Task<string> WriteAsync(string name, string content)
    {
        var path = Path.Combine(Path.GetDirectoryName(stores.DatabaseFile)!, name);
        await File.WriteAllTextAsync(path, content);
        return path;
    }

    private Task<OtpCtlProcess.Result> OtpCtlAsync(params string[] args) => OtpCtlProcess.RunAsync([.. args, "--address", address]);

    private Task<OtpCtlProcess.Result> OtpCtlAsync(string stdin, string[] args) => OtpCtlProcess.RunAsync(stdin, [.. args, "--address", address]);

    private async Task<SoftToken> IssueAsync()
    {
        var issued = Json(await OtpCtlAsync("credential", "issue", "--apply", "--json"));
        return new($"{issued["credential_id"]}", $"{issued["otpauth_uri"]}");
    }

    // The OTP of the step before has to be still inside the acceptance window when it arrives.
    private static async Task<DateTimeOffset> MomentEarlyInAStepAsync(int periodSeconds)
    {
        while (TimeProvider.System.GetUtcNow().ToUnixTimeSeconds() % periodSeconds > periodSeconds - 6)
        {
            await Task.Delay(200);
        }

        return TimeProvider.System.GetUtcNow();
    }

    private static JsonObject Json(OtpCtlProcess.Result result)
    {
        Assert.That(result.Errors, Is.Empty.Or.EndsWith("as expected.\n"));
        return JsonNode.Parse(result.Output)!.AsObject();
    }
}
