using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests;

/// <summary>What a help desk does for a contractor, from the command line.</summary>
public sealed class OtpCtlBindingTests
{
    private OtpService service = null!;

    private DateTimeOffset Now => service.Clock.GetUtcNow();

    [SetUp]
    public async Task StartAsync() => service = await OtpService.StartAsync(StoreKind.Sqlite);

    [TearDown]
    public async Task StopAsync() => await service.DisposeAsync();

    [Test]
    public async Task Replace_WithTheOtpsOfBoth_LetsTheNewOneTakeOver([Values] bool fromFile)
    {
        var (contractor, present) = await service.RegisteredAsync();
        var next = await service.Operations.IssueAsync();
        string[] command = ["binding", "replace", "--contractor", contractor, "--credential", next.CredentialId, "--apply"];
        var otps = $"{present.At(Now)}\n{next.At(Now)}\n";

        var replaced = await (fromFile ? OtpCtlAsync("", [.. command, "--otp-file", await WriteAsync(otps)]) : OtpCtlAsync(otps, command));

        Assert.That(replaced.ExitCode, Is.Zero, replaced.Output + replaced.Errors);
        Assert.That(replaced.Output, Does.StartWith("outcome: ACCEPTED\ndecision: ALLOW\n"));
        Assert.That((await service.Auth.VerifyAsync(contractor, next.At(Now, 1))).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    [Test]
    public async Task Replace_WithTheOtpsTheOtherWayRound_IsDenied()
    {
        var (contractor, present) = await service.RegisteredAsync();
        var next = await service.Operations.IssueAsync();

        var denied = await OtpCtlAsync(
            $"{next.At(Now)}\n{present.At(Now)}\n", "binding", "replace", "--contractor", contractor, "--credential", next.CredentialId, "--apply");

        Assert.That(denied.ExitCode, Is.EqualTo(1), denied.Errors);
        Assert.That(denied.Output, Does.StartWith("outcome: MISMATCH\ndecision: DENY\n"));
    }

    [Test]
    public async Task Resynchronize_WithTwoConsecutiveOtps_TakesTheTokenBack()
    {
        var (contractor, token) = await service.RegisteredAsync();
        const int Ahead = 20;

        var wrong = await OtpCtlAsync($"{token.At(Now, Ahead)}\n{token.At(Now, Ahead + 2)}\n", "binding", "resynchronize", "--contractor", contractor, "--apply");
        var learned = await OtpCtlAsync($"{token.At(Now, Ahead)}\n{token.At(Now, Ahead + 1)}\n", "binding", "resynchronize", "--contractor", contractor, "--apply");

        Assert.That((wrong.ExitCode, learned.ExitCode), Is.EqualTo((1, 0)), wrong.Output + learned.Output + wrong.Errors + learned.Errors);
        service.Clock.Advance(TimeSpan.FromSeconds(2 * token.PeriodSeconds));
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now, Ahead))).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    [Test]
    public async Task CheckOtp_OfARightOne_LeavesItToBeVerified()
    {
        var (contractor, token) = await service.RegisteredAsync();

        var known = await CheckAsync(contractor, token.At(Now));

        Assert.That(known.ExitCode, Is.Zero, known.Errors);
        Assert.That(known.Output, Does.Match(@"\Aoutcome: ACCEPTED\noffset_steps: 0\ndecided_at: \S+Z\nrepeated: false\n\z"));
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    [Test]
    public async Task CheckOtp_OfAnother_Exits1AndCountsNothing()
    {
        var (contractor, token) = await service.RegisteredAsync();

        var wrong = await CheckAsync(contractor, token.WrongAt(Now));
        var off = await CheckAsync(contractor, token.At(Now, 20));
        var unknown = await CheckAsync("K-NOBODY", token.At(Now));

        Assert.That((wrong.ExitCode, off.ExitCode, unknown.ExitCode), Is.EqualTo((1, 1, 1)), wrong.Errors + off.Errors + unknown.Errors);
        Assert.That(wrong.Output, Does.StartWith("outcome: MISMATCH\ndecided_at"));
        Assert.That(off.Output, Does.StartWith("outcome: OUT_OF_SYNC\noffset_steps: 20\n"));
        Assert.That(unknown.Output, Does.StartWith("outcome: NOT_REGISTERED\n"));
        Assert.That((await service.Operations.BindingAsync(contractor)).ConsecutiveFailures, Is.Zero);
    }

    [Test]
    public async Task CheckOtp_UnderTheSameRequestId_IsAnsweredAsTheFirstTime()
    {
        var (contractor, token) = await service.RegisteredAsync();
        var id = Calls.NewRequestId();

        await CheckAsync(contractor, token.At(Now), "--request-id", id);
        var again = await CheckAsync(contractor, token.At(Now), "--request-id", id);

        Assert.That(again.Output, Does.EndWith("repeated: true\n"));
        Assert.That(await service.AuditOfAsync("CheckOtp"), Has.Count.EqualTo(1));
    }

    [Test]
    public async Task Unlock_OfALockedContractor_LetsThemIn()
    {
        var (contractor, token) = await service.RegisteredAsync();
        for (var i = 0; i < 5; i++)
        {
            await service.Auth.VerifyAsync(contractor, token.WrongAt(Now));
        }

        var locked = await CheckAsync(contractor, token.At(Now));
        var dry = await OtpCtlAsync("", "binding", "unlock", "--contractor", contractor, "--reason", "mistyped");
        var before = await service.Auth.VerifyAsync(contractor, token.At(Now));
        var unlocked = await OtpCtlAsync("", "binding", "unlock", "--contractor", contractor, "--reason", "mistyped", "--apply");

        Assert.That(locked.Output, Does.StartWith("outcome: ACCEPTED\n"), "check-otp works while locked");
        Assert.That(dry.Output, Does.Contain("now.consecutive_failures: 5\nnow.lockout.until: "));
        Assert.That((before.Outcome, unlocked.ExitCode), Is.EqualTo((Outcome.LockedOut, 0)), unlocked.Errors);
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    [Test]
    public async Task Unlock_OfNobody_IsRefused()
    {
        var result = await OtpCtlAsync("", "binding", "unlock", "--contractor", "K-NOBODY", "--reason", "mistyped", "--apply");
        Assert.That((result.ExitCode, result.Output), Is.EqualTo((3, "")));
        Assert.That(result.Errors, Does.StartWith("otpctl: NOT_FOUND: "));
    }

    [Test]
    public async Task Stop_UntilResume_DeniesEveryOtp()
    {
        var (contractor, token) = await service.RegisteredAsync();

        var stopped = await OtpCtlAsync("", "binding", "stop", "--contractor", contractor, "--reason", "frozen", "--apply");
        var denied = await service.Auth.VerifyAsync(contractor, token.At(Now));
        var resumed = await OtpCtlAsync("", "binding", "resume", "--contractor", contractor, "--reason", "released", "--apply");
        var accepted = await service.Auth.VerifyAsync(contractor, token.At(Now));

        Assert.That((stopped.ExitCode, resumed.ExitCode), Is.EqualTo((0, 0)), stopped.Errors + resumed.Errors);
        Assert.That((denied.Outcome, denied.Decision, accepted.Outcome), Is.EqualTo((Outcome.Suspended, Decision.Deny, Outcome.Accepted)));
    }

    [TestCase("12h", 12)]
    [TestCase("7d", 168)]
    [TestCase(null, 24)]
    public async Task OpenReregistration_OfALoss_IsOpenForSoLong(string? validFor, int hours)
    {
        var (contractor, _) = await service.RegisteredAsync();
        await service.Operations.ReportLostAsync(contractor);

        var opened = await OtpCtlAsync(
            "", ["binding", "open-reregistration", "--contractor", contractor, .. Option("--valid-for", validFor), "--reason", "came to the branch", "--apply"]);

        Assert.That(opened.ExitCode, Is.Zero, opened.Errors);
        Assert.That(opened.Output, Does.StartWith($"open_until: {Now.AddHours(hours):yyyy-MM-dd'T'HH:mm:ss}"));
    }

    [Test]
    public async Task TemporaryOtp_Issued_IsPrintedOnceAndTakenAsOftenAsSaid()
    {
        var (contractor, _) = await service.RegisteredAsync(digits: 8);

        var issued = await IssueTemporaryAsync(contractor, "--valid-for", "2h", "--uses", "2");

        var otp = issued.Output.Split('\n')[0]["temporary_otp: ".Length..];
        Assert.That(issued.Output, Does.Match(@"\Atemporary_otp: [0-9]{8}\nexpires_at: \S+Z\nawaits_confirmation: false\ndecided_at: \S+Z\nrepeated: false\n\z"));
        Assert.That(issued.Output.Split(otp), Has.Length.EqualTo(2), "once");
        Assert.That(issued.Errors, Is.Empty);
        var shown = await OtpCtlAsync("", "binding", "show", "--contractor", contractor);
        Assert.That(shown.Output, Does.Contain("temporary_otp.uses_left: 2\n").And.Not.Contains(otp));
        Outcome[] outcomes =
        [
            (await service.Auth.VerifyAsync(contractor, otp)).Outcome,
            (await service.Auth.VerifyAsync(contractor, otp)).Outcome,
            (await service.Auth.VerifyAsync(contractor, otp)).Outcome,
        ];
        Assert.That(outcomes.Select(outcome => outcome == Outcome.Accepted), Is.EqualTo(new[] { true, true, false }));
    }

    [Test]
    public async Task TemporaryOtp_WherePolicyAsksForTwo_IsTakenOnceAnotherHasConfirmed()
    {
        var (contractor, _) = await service.RegisteredAsync(digits: 8);
        var set = await OtpCtlAsync("", "institution", "set", "--temporary-otp-confirmation", "needed", "--reason", "four eyes", "--apply");
        var issued = await IssueTemporaryAsync(contractor, "--operator", "h.sato");
        var otp = issued.Output.Split('\n')[0]["temporary_otp: ".Length..];
        var expires = issued.Output.Split('\n')[1]["expires_at: ".Length..];

        var before = await service.Auth.VerifyAsync(contractor, otp);
        var same = await ConfirmTemporaryAsync(contractor, expires, "h.sato");
        var another = await ConfirmTemporaryAsync(contractor, expires, "m.ito");
        var again = await ConfirmTemporaryAsync(contractor, expires, "t.abe");

        Assert.That(set.ExitCode, Is.Zero, set.Errors);
        Assert.That(issued.Output, Does.Contain("awaits_confirmation: true\n"));
        Assert.That(before.Outcome, Is.Not.EqualTo(Outcome.Accepted));
        Assert.That((same.ExitCode, another.ExitCode, again.ExitCode), Is.EqualTo((3, 0, 3)));
        Assert.That(same.Errors, Does.Contain("SECOND_PERSON_NEEDED").And.Not.Contains(otp));
        Assert.That(again.Errors, Does.Contain("NOTHING_TO_CONFIRM"));
        Assert.That((await service.Auth.VerifyAsync(contractor, otp)).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    [Test]
    public async Task Institution_WhoseContractorsMayUnlock_IsShown()
    {
        var set = await OtpCtlAsync("", "institution", "set", "--contractor-unlock", "allow", "--reason", "a test", "--apply");
        var allowed = await OtpCtlAsync("", "institution", "show");
        await OtpCtlAsync("", "institution", "set", "--contractor-unlock", "deny", "--temporary-otp-confirmation", "not-needed", "--reason", "a test", "--apply");
        var denied = await OtpCtlAsync("", "institution", "show");

        Assert.That(set.ExitCode, Is.Zero, set.Errors);
        Assert.That(allowed.Output, Does.Contain("policy.contractor_may_unlock: true\n").And.Contains("policy.temporary_otp_needs_confirmation: false\n"));
        Assert.That(denied.Output, Does.Contain("policy.contractor_may_unlock: false\n").And.Contains("policy.temporary_otp_needs_confirmation: false\n"));
    }

    private static string[] Option(string name, string? value) => value is null ? [] : [name, value];

    private Task<OtpCtlProcess.Result> CheckAsync(string contractor, string otp, params string[] more) =>
        OtpCtlAsync(otp + "\n", ["binding", "check-otp", "--contractor", contractor, "--reason", "cannot log in", .. more]);

    private Task<OtpCtlProcess.Result> IssueTemporaryAsync(string contractor, params string[] more) =>
        OtpCtlAsync("", ["binding", "issue-temporary-otp", "--contractor", contractor, "--reason", "the phone is at home", "--apply", .. more]);

    private Task<OtpCtlProcess.Result> ConfirmTemporaryAsync(string contractor, string expires, string person) =>
        OtpCtlAsync("", "binding", "confirm-temporary-otp", "--contractor", contractor, "--expires-at", expires, "--reason", "called back", "--operator", person, "--apply");

    private async Task<string> WriteAsync(string content)
    {
        var path = Path.Combine(Path.GetDirectoryName(service.Stores.DatabaseFile)!, "otps");
        await File.WriteAllTextAsync(path, content);
        return path;
    }

    private Task<OtpCtlProcess.Result> OtpCtlAsync(string stdin, params string[] args) => OtpCtlProcess.RunAsync(stdin, [.. args, "--address", service.Address]);
}
