using Grpc.Core;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Storage;

/// <summary>
/// deploy/RECOVERY.md, followed by the letter on a base backup that is really restored: nobody but operators comes in, the fence is seen, whom the lost
/// events had stopped is stopped anew, and then the bank opens. Without these steps they would be let in.
/// </summary>
[TestFixture]
public class RecoveryTests
{
    private PostgresServer postgres = null!;
    private StoresUnderTest stores = null!;
    private CallersUnderTest callers = null!;
    private string folder = null!;

    private string EventsFile => Path.Combine(folder, "events.jsonl");

    private string HeadsFile => Path.Combine(folder, "heads.jsonl");

    private string[] Settings => [.. callers.Settings, "--OtpAuth:AuditHeadInterval=00:00:01", $"--OtpAuth:AuditHeadsFile={HeadsFile}"];

    [SetUp]
    public async Task StartAsync()
    {
        folder = Directory.CreateTempSubdirectory("otpauth-recovery-").FullName;
        postgres = await PostgresServer.StartNewAsync();
        stores = await StoresUnderTest.CreateAsync(StoreKind.Postgres, postgres);
        callers = new CallersUnderTest(Operators.Append(CallerRow.Frontend("front", "demo")).ToArray());
    }

    [TearDown]
    public async Task StopAsync()
    {
        callers.Dispose();
        stores.Dispose();
        await postgres.DisposeAsync();
        Directory.Delete(folder, recursive: true);
    }

    [Test]
    public async Task Restore_ByTheGuide_LetsNobodyInWhoWasStoppedSince()
    {
        var (people, backup, clock) = await LiveAsync();
        await postgres.RestoreAsync(backup, recover: true);

        // 1. Nobody but operators.
        Assert.That((await OtpCtlProcess.RunAsync("caller", "remove", "--file", callers.CallersFile, "--id", "front", "--apply")).ExitCode, Is.Zero);
        await using var service = await OtpService.StartAsync(stores, clock, Settings);
        using var front = callers.Connect(service, "front");
        var untouched = people["untouched"];
        Assert.That((await Refusal.OfAsync(async () => await VerifyAsync(front, untouched, clock))).Code, Is.EqualTo(StatusCode.Unauthenticated));

        // 3. The fence has been raised by the service itself.
        var fence = await OtpCtlAsync(service, "fence", "show", "--json");
        // Whoever follows events went on in the same file.
        var since = await RunAsync(service, "auditor", "event", "stream", "--json");
        await File.AppendAllTextAsync(EventsFile, since.Output);
        Assert.That(fence.Output, Does.Contain("\"reason\": \"the database does not hold the audit head that was shipped last\""), fence.Errors);

        // 4. First for show, then for real, then once more.
        var shown = await OtpCtlAsync(service, "event", "reapply", "--file", EventsFile);
        Assert.That(shown.Errors, Does.Contain("dry run"));
        Assert.That((await service.Operations.BindingAsync(people["lost"].Contractor)).History[0].State, Is.EqualTo(BindingState.Active));
        var done = await OtpCtlAsync(service, "event", "reapply", "--file", EventsFile, "--apply");
        Assert.That((done.ExitCode, done.Output), Is.EqualTo((0, shown.Output)));
        Assert.That(
            done.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split(' ')).Select(words => $"{words[0]} {words[1]} {words[3]}"),
            Is.EquivalentTo(
            [
                $"{people["lost"].Contractor} LOST REPORT_LOST",
                $"{people["found again"].Contractor} LOST REPORT_LOST",
                $"{people["suspended"].Contractor} SUSPENDED SUSPEND_BINDING",
                $"{people["replaced"].Contractor} REPLACED SUSPEND_BINDING",
                $"{people["stopped"].Contractor} STOPPED SUSPEND_BINDING",
                $"{people["guessed at"].Contractor} LOCKED SUSPEND_BINDING",
                $"{people["changed device"].Contractor} REGISTERED SUSPEND_BINDING",
                $"{people["newcomer"].Contractor} REGISTERED BY_HAND",
            ]));
        var again = await OtpCtlAsync(service, "event", "reapply", "--file", EventsFile, "--apply", "--json");
        Assert.That(again.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries), Has.Exactly(6).Contain("\"remedy\":\"NONE\""), again.Errors);

        // 5. The loss is on record.
        var verified = await OtpCtlAsync(service, "audit", "verify", "--heads", HeadsFile);
        Assert.That(verified.ExitCode, Is.EqualTo(5), verified.Errors);
        Assert.That(verified.Output, Does.Contain("ROLLED_BACK"));

        // 6. Open.
        callers.Write([.. Operators, CallerRow.Frontend("front", "demo")]);
        var raised = await service.Operations.GetFenceAsync(new() { InstitutionId = "demo" });
        service.Clock.SetUtcNow(raised.Fence.ToDateTimeOffset() + TimeSpan.FromSeconds(35));
        await Eventually.IsTrueAsync(async () => (await TryAsync(front, untouched, clock))?.Outcome == Outcome.Accepted, "who was not touched logs in");
        foreach (var name in new[] { "lost", "found again", "suspended", "replaced", "stopped", "guessed at", "changed device" })
        {
            var answer = await VerifyAsync(front, people[name], clock);
            Assert.That(answer.Decision, Is.EqualTo(Decision.Deny), name);
        }

        Assert.That((await VerifyAsync(front, people["resumed"], clock)).Outcome, Is.EqualTo(Outcome.Accepted), "stopped and resumed since: nothing to stop");
    }

    /// <summary>A file of another institution, or a wrong one: to take all of it for lost would stop everybody in it.</summary>
    [Test]
    public async Task Reapply_OfAFileThatHasNothingOfTheDatabase_IsRefused()
    {
        await using var service = await OtpService.StartAsync(stores, clock: null, Settings);
        var (contractor, _) = await service.RegisteredAsync();
        await service.Operations.SuspendBindingAsync(contractor);
        await OtpCtlToFileAsync(service);
        await service.ExecuteAsync("DELETE FROM events");

        var refused = await OtpCtlAsync(service, "event", "reapply", "--file", EventsFile, "--apply");
        Assert.That((refused.ExitCode, refused.Output), Is.EqualTo((2, "")));
        Assert.That(refused.Errors, Does.Contain("the database has none of the events").And.Contain("--since"));

        await File.AppendAllTextAsync(EventsFile, "{\"event_id\": \"cut off");
        var since = await OtpCtlAsync(service, "event", "reapply", "--file", EventsFile, "--since", "2020-01-01");
        Assert.That(since.Errors, Does.Contain("line 3 of events.jsonl is no event"));
        Assert.That(since.Output, Does.Match($@"\A{contractor} STOPPED \S+ NONE\n\z"));
    }

    private static IEnumerable<CallerRow> Operators =>
        [CallerRow.Operator("desk-1", "demo"), new CallerRow("auditor", ["Auditor"], "demo")];

    /// <summary>What a bank did before and after the backup; the last replica is gone by its end.</summary>
    private async Task<(Dictionary<string, (string Contractor, SoftToken Token)> People, string Backup, Microsoft.Extensions.Time.Testing.FakeTimeProvider Clock)> LiveAsync()
    {
        await using var service = await OtpService.StartAsync(stores, clock: null, Settings);
        var people = new Dictionary<string, (string Contractor, SoftToken Token)>();
        foreach (var name in new[] { "untouched", "lost", "found again", "suspended", "replaced", "stopped", "resumed", "guessed at", "changed device" })
        {
            people[name] = await service.RegisteredAsync();
        }

        var backup = await postgres.BackUpAsync();
        var now = service.Clock.GetUtcNow();
        await service.Operations.ReportLostAsync(people["lost"].Contractor);
        await service.Operations.ReportLostAsync(people["found again"].Contractor);
        await service.Operations.OpenReregistrationAsync(people["found again"].Contractor);
        await RegisterAsync(people["found again"].Contractor);
        await service.Auth.SuspendAsync(people["suspended"].Contractor, people["suspended"].Token.At(now));
        var successor = await service.Operations.IssueAsync();
        await service.Auth.ReplaceAsync(people["replaced"].Contractor, people["replaced"].Token.At(now), successor.CredentialId, successor.At(now));
        await service.Auth.SuspendAsync(people["changed device"].Contractor, people["changed device"].Token.At(now));
        await RegisterAsync(people["changed device"].Contractor);
        await service.Operations.SuspendBindingAsync(people["stopped"].Contractor);
        await service.Operations.SuspendBindingAsync(people["resumed"].Contractor);
        await service.Operations.ResumeBindingAsync(people["resumed"].Contractor);
        for (var guess = 0; guess < 10; guess++)
        {
            if (guess == 5)
            {
                service.Clock.Advance(TimeSpan.FromMinutes(31));
            }

            await service.Auth.VerifyAsync(people["guessed at"].Contractor, people["guessed at"].Token.WrongAt(service.Clock.GetUtcNow()));
        }

        people["newcomer"] = await service.RegisteredAsync();
        await OtpCtlToFileAsync(service);
        return (people, backup, service.Clock);

        async Task RegisterAsync(string contractor)
        {
            var token = await service.Operations.IssueAsync();
            Assert.That((await service.Auth.RegisterAsync(contractor, token.CredentialId, token.At(now))).Outcome, Is.EqualTo(Outcome.Accepted));
        }
    }

    /// <summary>As the guide has a bank keep its events.</summary>
    private async Task OtpCtlToFileAsync(OtpService service)
    {
        var events = await RunAsync(service, "auditor", "event", "stream", "--json");
        Assert.That(events.ExitCode, Is.Zero, events.Errors);
        await File.WriteAllTextAsync(EventsFile, events.Output);
    }

    private Task<OtpCtlProcess.Result> OtpCtlAsync(OtpService service, params string[] args) => RunAsync(service, "desk-1", args);

    private Task<OtpCtlProcess.Result> RunAsync(OtpService service, string caller, params string[] args)
    {
        var certificate = callers.CertificateOf(caller);
        return OtpCtlProcess.RunAsync(
            [.. args, "--address", service.TlsAddress, "--trust", callers.Authority.BundleFile, "--certificate", certificate.CertificateFile, "--key", certificate.KeyFile]);
    }

    private static async Task<VerifyResponse> VerifyAsync(CallerConnection front, (string Contractor, SoftToken Token) person, TimeProvider clock) =>
        await front.Auth.VerifyAsync(person.Contractor, person.Token.At(clock.GetUtcNow()));

    private static async Task<VerifyResponse?> TryAsync(CallerConnection front, (string Contractor, SoftToken Token) person, TimeProvider clock)
    {
        try
        {
            return await VerifyAsync(front, person, clock);
        }
        catch (RpcException refused) when (refused.StatusCode == StatusCode.Unauthenticated)
        {
            return null;
        }
    }
}
