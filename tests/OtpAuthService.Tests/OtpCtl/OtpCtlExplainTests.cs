using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Microsoft.Extensions.Time.Testing;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;
using OtpNet;

namespace OtpAuthService.Tests;

/// <summary>What the help desk reads to "why was I refused?", of a contractor who was driven there through the service.</summary>
[TestFixture(StoreKind.Sqlite)]
[TestFixture(StoreKind.Postgres)]
public sealed class OtpCtlExplainTests(StoreKind kind)
{
    private readonly HashSet<string> secrets = [];
    private OtpService service = null!;

    private DateTimeOffset Now => service.Clock.GetUtcNow();

    [SetUp]
    public async Task StartAsync() => service = await OtpService.StartAsync(kind);

    [TearDown]
    public async Task StopAsync()
    {
        Assert.That(service.Errors.Errors, Is.Empty);
        await service.DisposeAsync();
    }

    [Test]
    public async Task Accepted_AtEachTier_IsNamed()
    {
        var (contractor, token) = await RegisteredAsync();
        await VerifyAsync(contractor, Shown(token, -1), Outcome.Accepted);
        await VerifyAsync(contractor, Shown(token, 0), Outcome.Accepted);
        await VerifyAsync(contractor, Shown(token, 1), Outcome.Accepted);

        var lines = await ExplainAsync(contractor);

        Assert.That(lines[0], Does.Match(@"\A\S+Z  Register over PC_BROWSER: ACCEPTED, ALLOW, because the OTP of [A-Z0-9]{12} was of the time step before the current one \(-1, window -1 to \+1\); "));
        Assert.That(lines[1], Does.Contain("  Verify of LOGIN over PC_BROWSER: ACCEPTED, ALLOW, because ").And.Contain(" the time step before the current one (-1, window -1 to +1), and had not been used."));
        Assert.That(lines[2], Does.Contain(" the current time step (0, window -1 to +1)"));
        Assert.That(lines[3], Does.Contain(" the time step after the current one (+1, window -1 to +1)"));
        Assert.That(lines[4], Is.Empty);
        Assert.That(lines[5], Does.StartWith("Now: ").And.Contain("no wrong OTP is counted: 5 in a row lock for 30 min"));
        Assert.That(lines, Has.Count.EqualTo(6), "there is nothing to do");
    }

    [Test]
    public async Task Mismatches_UpToBothLocksAndUnlocked_AreCountedAndNamed()
    {
        var (contractor, token) = await RegisteredAsync();
        await WrongAsync(contractor, token, 5);
        await VerifyAsync(contractor, Shown(token, 0), Outcome.LockedOut);

        var lines = await ExplainAsync(contractor);
        Assert.That(lines[1], Does.Contain("MISMATCH, DENY, because ").And.EndWith("; counted, as number 1 of the 5 in a row that lock for 30 min."));
        var until = Regex.Match(lines[5], @"; counted, as number 5 of the 5 in a row that lock for 30 min: locked until (\S+Z)\.$").Groups[1].Value;
        Assert.That(lines[6], Does.Contain("LOCKED_OUT, DENY, because 5 wrong OTPs in a row, ").And.EndWith($" had locked the contractor until {until}; the OTP was not looked at."));
        Assert.That(lines[^2], Does.Contain($"Locked until {until}, after 5 wrong OTPs in a row"));
        Assert.That(lines[^1], Is.EqualTo($"To do: Wait until {until}. Where the customer was identified, end the lock: otpctl binding unlock --contractor {contractor} --reason '…' --apply"));

        service.Clock.Advance(TimeSpan.FromMinutes(31));
        await WrongAsync(contractor, token, 5);
        await VerifyAsync(contractor, Shown(token, 0), Outcome.LockedOut);
        lines = await ExplainAsync(contractor);
        Assert.That(lines, Has.Count.EqualTo(10 + 3), "the last ten answers");
        Assert.That(lines[3], Does.EndWith("  Verify of LOGIN over PC_BROWSER: LOCKED_OUT, DENY, because 5 wrong OTPs in a row, the last at " + lines[2].Split(' ')[0] + $", had locked the contractor until {until}; the OTP was not looked at."));
        Assert.That(lines[4], Does.EndWith("number 6 of the 10 in a row that lock until an operator unlocks."));
        Assert.That(lines[8], Does.EndWith("number 10 of the 10 in a row that lock until an operator unlocks: locked."));
        Assert.That(lines[9], Does.Contain("because 10 wrong OTPs in a row, ").And.EndWith("until an operator unlocks; the OTP was not looked at."));
        Assert.That(lines[^1], Does.StartWith("To do: Where the customer was identified, end the lock: otpctl binding unlock "));

        await service.Operations.UnlockAsync(contractor);
        Tick();
        lines = await ExplainAsync(contractor, "--limit", "1");
        Assert.That(lines[0], Does.EndWith("ACCEPTED, ALLOW, because an operator ended the lock, if any, and the count of wrong OTPs: \"mistyped\".").And.Contain("  Unlock through local: "));
        Assert.That(lines[2], Does.Contain("Not locked, and no wrong OTP is counted"));
    }

    [Test]
    public async Task Mismatches_OfWhichSomeWereBefore_AreCountedFromTheServicesCount()
    {
        var (contractor, token) = await RegisteredAsync();
        await WrongAsync(contractor, token, 2);
        var since = Now;
        await WrongAsync(contractor, token, 1);

        Assert.That((await ExplainAsync(contractor, "--since", Text(since)))[0], Does.EndWith("; counted, as number 3 of the 5 in a row that lock for 30 min."));
        await VerifyAsync(contractor, Shown(token, 0), Outcome.Accepted);
        Assert.That((await ExplainAsync(contractor, "--since", Text(since)))[0], Does.EndWith("; counted, as at least number 1 of the wrong ones in a row."));
    }

    [Test]
    public async Task OutOfSync_AndResynchronized_TellHowFarTheClockIsOff()
    {
        var (contractor, token) = await RegisteredAsync();
        await VerifyAsync(contractor, Shown(token, 10), Outcome.OutOfSync);
        var lines = await ExplainAsync(contractor);
        Assert.That(lines[1], Does.Contain("OUT_OF_SYNC, DENY, because ").And.Contain("the credential's clock is off").And.EndWith("number 1 of the 5 in a row that lock for 30 min."));
        Assert.That(lines[^1], Does.Contain("(Resynchronize)"));

        var resynchronized = await service.Auth.ResynchronizeAsync(contractor, Shown(token, 11), Shown(token, 12));
        Assert.That(resynchronized.Outcome, Is.EqualTo(Outcome.Accepted));
        service.Clock.Advance(TimeSpan.FromSeconds(60));
        await VerifyAsync(contractor, Shown(token, 12), Outcome.Accepted);

        lines = await ExplainAsync(contractor, "--limit", "2");
        Assert.That(lines[0], Does.EndWith($"because two OTPs in a row showed how far the clock of {token.CredentialId} is off: 12 time steps (360 s) ahead of the service's."));
        Assert.That(lines[1], Does.Contain("of the expected time step, which is 12 time steps (360 s) ahead of the service's as is known of the credential's clock (0, window -1 to +1)"));
        Assert.That(lines[3], Does.Contain($"The clock of {token.CredentialId} is known to be 12 time steps (360 s) ahead"));
    }

    [Test]
    public async Task AlreadyUsed_NamesWhatHadUsedIt()
    {
        var (contractor, token) = await RegisteredAsync();
        await VerifyAsync(contractor, Shown(token, 0), Outcome.Accepted, Purpose.Transfer);
        await VerifyAsync(contractor, Shown(token, 0), Outcome.AlreadyUsed);
        var lines = await ExplainAsync(contractor);
        Assert.That(lines[2], Does.EndWith($"ALREADY_USED, DENY, because the OTP's time step, or a later one, had been used before: last at {lines[1].Split(' ')[0]} by Verify of TRANSFER over PC_BROWSER."));
        Assert.That(lines[^1], Is.EqualTo("To do: The customer waits for the next OTP, and enters each one once."));

        service.Clock.Advance(TimeSpan.FromMinutes(5));
        var there = await service.Auth.RegisterAsync(Calls.NewContractor(), token.CredentialId, Shown(token, 0), institution: "minato");
        Assert.That(there.Outcome, Is.EqualTo(Outcome.Accepted));
        await VerifyAsync(contractor, Shown(token, 0), Outcome.AlreadyUsed);
        Assert.That((await ExplainAsync(contractor, "--limit", "1"))[0], Does.EndWith("by nothing that was read here, so earlier, at another institution, or a fence refused it."));

        await service.Operations.RaiseFenceAsync(new() { RequestId = Calls.NewRequestId(), InstitutionId = "demo", Reason = "a test" });
        service.Clock.Advance(TimeSpan.FromSeconds(30));
        await VerifyAsync(contractor, Shown(token, 0), Outcome.AlreadyUsed);
        Assert.That((await ExplainAsync(contractor, "--limit", "1"))[0], Does.Contain("because a fence refuses every OTP up to "));
    }

    [Test]
    public async Task Policy_OfAContractorWithoutCredential_IsNamed()
    {
        var (contractor, token) = (Calls.NewContractor(), await service.Operations.IssueAsync());
        await VerifyAsync(contractor, "123456", Outcome.NotRegistered);
        await VerifyAsync(contractor, "123456", Outcome.NotRegistered, Purpose.Transfer);
        var lines = await ExplainAsync(contractor);
        Assert.That(lines[0], Does.EndWith("NOT_REGISTERED, ALLOW, because no credential was registered, and policy version 1 answers a LOGIN without one with ALLOW."));
        Assert.That(lines[1], Does.EndWith("NOT_REGISTERED, DENY, because no credential was registered, and without one everything but a LOGIN is denied."));
        Assert.That(lines[3], Does.StartWith($"Now: {contractor} never registered a credential."));

        Assert.That((await service.Auth.RegisterAsync(contractor, token.CredentialId, Shown(token, -1))).Outcome, Is.EqualTo(Outcome.Accepted));
        Tick();
        Assert.That((await service.Auth.SuspendAsync(contractor, Shown(token, 0))).Outcome, Is.EqualTo(Outcome.Accepted));
        Tick();
        await VerifyAsync(contractor, "123456", Outcome.Suspended);
        lines = await ExplainAsync(contractor, "--limit", "2");
        Assert.That(lines[0], Does.EndWith("; the contractor has stopped using OTPs (利用停止)."));
        Assert.That(lines[1], Does.EndWith($"SUSPENDED, ALLOW, because the contractor had stopped using OTPs (利用停止) at {lines[0].Split(' ')[0]}, and policy version 1 answers a LOGIN without one with ALLOW."));
    }

    [Test]
    public async Task Bypass_GivenAndTakenAway_IsNamed()
    {
        var contractor = Calls.NewContractor();
        await VerifyAsync(contractor, "", Outcome.Bypassed, channel: Channel.FeaturePhone);
        await service.Operations.SetBypassOptOutAsync(new() { RequestId = Calls.NewRequestId(), InstitutionId = "demo", ContractorId = contractor, NeverBypass = true, Reason = "asked for it" });
        Tick();
        await VerifyAsync(contractor, "", Outcome.BypassRefused, channel: Channel.FeaturePhone);

        var lines = await ExplainAsync(contractor);
        Assert.That(lines[0], Does.EndWith("  Verify of LOGIN over FEATURE_PHONE: BYPASSED, ALLOW, because caller local is a mobile-IB gateway that may go without an OTP."));
        Assert.That(lines[2], Does.EndWith("BYPASS_REFUSED, DENY, because the contractor is never to be answered without an OTP, by own wish."));
        Assert.That(lines[4], Does.Contain("never answered without an OTP (モバイルIB)"));
    }

    [Test]
    public async Task Stop_OfTheBank_IsNamedAlsoAfterItsEnd()
    {
        var (contractor, token) = await RegisteredAsync();
        await service.Operations.SuspendBindingAsync(contractor);
        Tick();
        await VerifyAsync(contractor, Shown(token, 0), Outcome.Suspended);
        var lines = await ExplainAsync(contractor);
        Assert.That(lines[2], Does.EndWith("SUSPENDED, DENY, because the bank had stopped the binding (SuspendBinding), and everything is denied until it is resumed."));
        Assert.That(lines[^1], Does.Contain($"otpctl binding resume --contractor {contractor} "));

        await service.Operations.ResumeBindingAsync(contractor);
        Tick();
        lines = await ExplainAsync(contractor);
        Assert.That(lines[2], Does.Contain("because the bank had stopped the binding"));
        Assert.That(lines[3], Does.EndWith("because an operator ended the bank's stop: \"it was lifted\"."));
    }

    [Test]
    public async Task Lost_AndTheTemporaryOtp_AreNamedAndItsOtpIsNot()
    {
        var (contractor, token) = await RegisteredAsync();
        await service.Operations.ReportLostAsync(contractor);
        Tick();
        await VerifyAsync(contractor, Shown(token, 0), Outcome.Lost);
        var lines = await ExplainAsync(contractor);
        Assert.That(lines[2], Does.EndWith($"LOST, DENY, because {token.CredentialId} had been reported lost at {lines[1].Split(' ')[0]}; the OTP was a right one of it, so somebody has the token."));
        Assert.That(lines[^2], Does.Contain($"otpctl binding open-reregistration --contractor {contractor} "));
        Assert.That(lines[^1], Does.Contain($"otpctl binding issue-temporary-otp --contractor {contractor} "));

        var temporary = (await service.Operations.IssueTemporaryOtpAsync(contractor, uses: 2)).TemporaryOtp;
        secrets.Add(temporary);
        Tick();
        await VerifyAsync(contractor, temporary, Outcome.Accepted);
        await VerifyAsync(contractor, temporary == "00000000" ? "00000001" : "00000000", Outcome.Mismatch);
        await service.Operations.OpenReregistrationAsync(contractor);
        Tick();
        lines = await ExplainAsync(contractor);
        Assert.That(lines[4], Does.EndWith("ACCEPTED, ALLOW, because it was the temporary OTP that an operator had issued."));
        Assert.That(lines[5], Does.Contain("MISMATCH, DENY, because it was not the temporary OTP, and no other was awaited; counted, as number 1 "));
        Assert.That(lines[^2], Does.Contain(" A temporary OTP is taken once more, until ").And.Contain("Another credential may be registered until "));
        Assert.That(lines[^1], Does.StartWith("To do: The customer registers another credential"));
    }

    [Test]
    public async Task ForeignLoss_OfACredentialInUse_IsNamed()
    {
        var (contractor, token) = await RegisteredAsync();
        var there = Calls.NewContractor();
        Assert.That((await service.Auth.RegisterAsync(there, token.CredentialId, Shown(token, 0), institution: "minato")).Outcome, Is.EqualTo(Outcome.Accepted));
        await service.Operations.ReportLostAsync(there, "minato");
        await SetPolicyAsync(new() { ForeignLossReports = ForeignLossReports.Block });
        Tick();
        await VerifyAsync(contractor, Shown(token, 1), Outcome.CredentialUnusable);

        var lines = await ExplainAsync(contractor);
        Assert.That(lines[1], Does.EndWith($"CREDENTIAL_UNUSABLE, DENY, because {token.CredentialId} cannot be used: it was reported lost, here or at another institution."));
        Assert.That(lines[3], Does.Contain($"Another institution has reported {token.CredentialId} lost: by policy it is refused here too."));
    }

    [Test]
    public async Task Contractor_UnderKeyedHashes_IsExplainedLikewise()
    {
        var (contractor, token) = await RegisteredAsync();
        await SetPolicyAsync(new() { AuditContractorIds = AuditContractorIds.KeyedHash });
        await WrongAsync(contractor, token, 1);

        var lines = await ExplainAsync(contractor);

        Assert.That(lines[0], Does.Contain("  Register over PC_BROWSER: "));
        Assert.That(lines[1], Does.Contain("MISMATCH, DENY").And.EndWith("; counted, as number 1 of the 5 in a row that lock for 30 min."));
    }

    [Test]
    public async Task Json_HasTheValuesAndTheSentences()
    {
        var (contractor, token) = await RegisteredAsync();
        await WrongAsync(contractor, token, 1);
        await VerifyAsync(contractor, Shown(token, 1), Outcome.Accepted);

        var document = JsonNode.Parse(string.Join('\n', await ExplainAsync(contractor, "--json")))!;

        var answers = document["answers"]!.AsArray();
        using (Assert.EnterMultipleScope())
        {
            Assert.That((string)document["contractor_id"]!, Is.EqualTo(contractor));
            Assert.That(answers.Select(answer => (string)answer!["outcome"]!), Is.EqualTo(["OUTCOME_ACCEPTED", "OUTCOME_MISMATCH", "OUTCOME_ACCEPTED"]));
            Assert.That(((int)answers[1]!["failure"]!, (bool)answers[1]!["failure_exact"]!), Is.EqualTo((1, true)));
            Assert.That(answers[1]!["time_step"], Is.Null);
            Assert.That(((int)answers[2]!["offset_steps"]!, (int)answers[2]!["window_steps"]!), Is.EqualTo((1, 1)));
            Assert.That((string)answers[2]!["because"]!, Does.Contain("the time step after the current one"));
            Assert.That((string)document["state"]!["binding_state"]!, Is.EqualTo("BINDING_STATE_ACTIVE"));
            Assert.That(((int)document["state"]!["attempts_left"]!, (int)document["state"]!["drift_seconds"]!, (bool)document["state"]!["locked"]!), Is.EqualTo((5, 0, false)));
            Assert.That(document["now"]!.AsArray(), Is.Not.Empty);
            Assert.That(document["to_do"]!.AsArray(), Is.Empty);
        }
    }

    [Test]
    public async Task Contractor_NobodyKnows_IsNotFoundAsByShow()
    {
        var explained = await OtpCtlAsync("binding", "explain", "--contractor", "K-NOBODY");
        var shown = await OtpCtlAsync("binding", "show", "--contractor", "K-NOBODY");

        Assert.That((explained.ExitCode, explained.Output), Is.EqualTo((3, "")));
        Assert.That(explained.Errors, Is.EqualTo(shown.Errors).And.StartsWith("otpctl: NOT_FOUND: "));
    }

    [TestCase("0")]
    [TestCase("1001")]
    [TestCase("１０")]
    public async Task Limit_OutOfRange_IsAUsageError(string limit)
    {
        var result = await OtpCtlAsync("binding", "explain", "--contractor", "K-1", "--limit", limit);
        Assert.That((result.ExitCode, result.Output), Is.EqualTo((2, "")));
        Assert.That(result.Errors, Does.Contain("--limit is a number from 1 to 1000."));
    }

    [Test]
    public async Task Transcript_OfARefusedCustomer_IsAsInTheGoldenFile()
    {
        var clock = new FakeTimeProvider(new DateTimeOffset(2026, 3, 31, 0, 0, 5, TimeSpan.Zero));
        using var stores = await StoresUnderTest.CreateAsync(kind);
        await using var then = await OtpService.StartAsync(stores, clock);
        var token = await then.Operations.IssueAsync();
        await then.Auth.RegisterAsync("K-1", token.CredentialId, token.At(clock.GetUtcNow(), -1), requestId: RequestId(0));
        for (var wrong = 1; wrong <= 6; wrong++)
        {
            clock.Advance(TimeSpan.FromMilliseconds(10));
            await then.Auth.VerifyAsync("K-1", token.WrongAt(clock.GetUtcNow()), requestId: RequestId(wrong));
        }

        clock.Advance(TimeSpan.FromMilliseconds(10));
        var transcript = new Transcript((token.CredentialId, "ABCD12345678")) { Environment = [("OTPCTL_ADDRESS", then.Address)] };
        await transcript.RunAsync("binding explain --contractor K-1");
        await transcript.RunAsync("binding explain --contractor K-1 --limit 2 --json");
        await transcript.RunAsync("binding explain --contractor K-2");
        transcript.AssertGolden("explain.transcript.txt");

        static string RequestId(int n) => $"a-request-of-a-test-{n:D4}";
    }

    // Records of one moment have no order among them.
    private void Tick() => service.Clock.Advance(TimeSpan.FromMilliseconds(10));

    private string Shown(SoftToken token, int steps)
    {
        var otp = token.At(Now, steps);
        secrets.Add(otp);
        return otp;
    }

    private async Task<(string Contractor, SoftToken Token)> RegisteredAsync()
    {
        var (contractor, token) = await service.RegisteredAsync();
        secrets.UnionWith([Shown(token, -1), Base32Encoding.ToString(token.Key), Convert.ToHexString(token.Key), Convert.ToHexStringLower(token.Key)]);
        service.Clock.Advance(TimeSpan.FromMinutes(2));
        return (contractor, token);
    }

    private async Task VerifyAsync(string contractor, string otp, Outcome expected, Purpose purpose = Purpose.Login, Channel channel = Channel.PcBrowser)
    {
        var answer = await service.Auth.VerifyAsync(contractor, otp, purpose: purpose, channel: channel);
        Assert.That(answer.Outcome, Is.EqualTo(expected));
        Tick();
    }

    private async Task WrongAsync(string contractor, SoftToken token, int times)
    {
        for (var n = 0; n < times; n++)
        {
            var wrong = token.WrongAt(Now);
            secrets.Add(wrong);
            await VerifyAsync(contractor, wrong, Outcome.Mismatch);
        }
    }

    private async Task SetPolicyAsync(InstitutionPolicy policy)
    {
        var version = (await service.Operations.GetInstitutionAsync(new() { InstitutionId = "demo" })).PolicyVersion;
        await service.Operations.SetInstitutionPolicyAsync(new()
        {
            RequestId = Calls.NewRequestId(), InstitutionId = "demo", DisplayName = "Demo", Policy = policy, ExpectedVersion = version, Reason = "a test",
        });
    }

    /// <summary>The lines that are printed, in which no OTP and no key stands.</summary>
    private async Task<IReadOnlyList<string>> ExplainAsync(string contractor, params string[] options)
    {
        var result = await OtpCtlAsync(["binding", "explain", "--contractor", contractor, .. options]);
        Assert.That((result.ExitCode, result.Errors), Is.EqualTo((0, "")));
        foreach (var secret in secrets)
        {
            // As a word of its own: in an id or a moment the same digits may stand by chance.
            Assert.That(result.Output, Does.Not.Match($"(?<![0-9A-Za-z]){secret}(?![0-9A-Za-z])"));
        }

        return result.Output.TrimEnd('\n').Split('\n');
    }

    private static string Text(DateTimeOffset moment) => moment.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", System.Globalization.CultureInfo.InvariantCulture);

    private Task<OtpCtlProcess.Result> OtpCtlAsync(params string[] args) => OtpCtlProcess.RunAsync([.. args, "--address", service.Address]);
}
