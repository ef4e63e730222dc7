using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;
using OtpAuthService.Verification;

namespace OtpAuthService.Tests.Bindings;

/// <summary>端末変更 in one step: the new credential takes over, or the current one stays.</summary>
[TestFixture(StoreKind.Sqlite)]
[TestFixture(StoreKind.Postgres)]
[TestFixture(StoreKind.PostgresRedis)]
public class ReplacementTests(StoreKind kind)
{
    private OtpService service = null!;

    private DateTimeOffset Now => service.Clock.GetUtcNow();

    [OneTimeSetUp]
    public async Task StartAsync() => service = await OtpService.StartAsync(kind);

    [OneTimeTearDown]
    public async Task StopAsync() => await service.DisposeAsync();

    [TearDown]
    public void NoErrorWasLogged() => Assert.That(service.Errors.Errors, Is.Empty);

    /// <summary>Promise P2: from the answer on no replica takes the old one, whatever it has in memory.</summary>
    [Test]
    public async Task RightOtpsOfBoth_SwapTheCredentials_OnEveryReplica()
    {
        await using var replica = await OtpService.StartAsync(service.Stores, service.Clock);
        var (contractor, old) = await service.RegisteredAsync();
        var successor = await service.Operations.IssueAsync();
        Assert.That((await replica.Auth.VerifyAsync(contractor, old.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted), "the other replica knows the key");

        var answer = await service.Auth.ReplaceAsync(contractor, old.At(Now, 1), successor.CredentialId, successor.At(Now));
        Assert.That((answer.Outcome, answer.Decision, answer.AttemptsLeft), Is.EqualTo((Outcome.Accepted, Decision.Allow, 5)));

        service.Clock.Advance(TimeSpan.FromSeconds(60));
        Assert.That((await replica.Auth.VerifyAsync(contractor, old.At(Now))).Outcome, Is.EqualTo(Outcome.Mismatch));
        Assert.That((await replica.Auth.VerifyAsync(contractor, successor.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
        var history = (await service.Operations.BindingAsync(contractor)).History;
        Assert.That(
            history.Select(b => (b.CredentialId, b.State)),
            Is.EqualTo([(successor.CredentialId, BindingState.Active), (old.CredentialId, BindingState.Replaced)]));
        Assert.That(history[1].EndedAt, Is.EqualTo(answer.DecidedAt));
        Assert.That(replica.Errors.Errors, Is.Empty);
    }

    [Test]
    public async Task BothOtps_AreBurned()
    {
        var (contractor, old) = await service.RegisteredAsync();
        var successor = await service.Operations.IssueAsync();
        await service.Auth.ReplaceAsync(contractor, old.At(Now), successor.CredentialId, successor.At(Now));
        Assert.That((await service.Auth.VerifyAsync(contractor, successor.At(Now))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
        var record = (await service.AuditAsync(contractor)).Single(r => r.Rpc == "Replace");
        Assert.That((record.TimeStep, record.Reason), Is.EqualTo(((TimeStep?)TimeStep.At(Now, 30), $"time step {TimeStep.At(Now, 30).Value} of {old.CredentialId} used up as well")));
        // The old one is free for somebody else, but not with that OTP.
        var other = Calls.NewContractor();
        Assert.That((await service.Auth.RegisterAsync(other, old.CredentialId, old.At(Now))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
        Assert.That((await service.Auth.RegisterAsync(other, old.CredentialId, old.At(Now, 1))).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    [Test]
    public async Task WrongCurrentOtp_IsCountedAndLeavesAll()
    {
        var (contractor, old) = await service.RegisteredAsync();
        var successor = await service.Operations.IssueAsync();
        var answer = await service.Auth.ReplaceAsync(contractor, old.WrongAt(Now), successor.CredentialId, successor.At(Now));
        Assert.That((answer.Outcome, answer.AttemptsLeft), Is.EqualTo((Outcome.Mismatch, 4)));
        await ExpectUnchangedAsync(contractor, old, failures: 1);
        Assert.That((await service.Auth.RegisterAsync(Calls.NewContractor(), successor.CredentialId, successor.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted), "not looked at");
    }

    /// <summary>The current OTP is burned, and what was counted before is not forgotten for it: it is half of the proof.</summary>
    [Test]
    public async Task WrongNewOtp_IsCountedAndBurnsTheCurrentOne()
    {
        var (contractor, old) = await service.RegisteredAsync();
        var successor = await service.Operations.IssueAsync();
        await service.Auth.VerifyAsync(contractor, old.WrongAt(Now));
        var answer = await service.Auth.ReplaceAsync(contractor, old.At(Now), successor.CredentialId, successor.WrongAt(Now));
        Assert.That((answer.Outcome, answer.AttemptsLeft), Is.EqualTo((Outcome.Mismatch, 3)));
        Assert.That((await service.Auth.VerifyAsync(contractor, old.At(Now))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
        await ExpectUnchangedAsync(contractor, old, failures: 2);
    }

    [Test]
    public async Task UnknownNewCredential_IsCounted()
    {
        var (contractor, old) = await service.RegisteredAsync();
        var answer = await service.Auth.ReplaceAsync(contractor, old.At(Now), "ABCD00000001", "123456");
        Assert.That((answer.Outcome, answer.AttemptsLeft), Is.EqualTo((Outcome.CredentialUnknown, 4)));
        Assert.That((await service.Auth.VerifyAsync(contractor, old.At(Now))).Outcome, Is.EqualTo(Outcome.AlreadyUsed), "burned");
        await ExpectUnchangedAsync(contractor, old, failures: 1);
    }

    [Test]
    public async Task NewCredentialOfAnotherContractor_IsInUse_ForARightOtpOnly()
    {
        var (contractor, old) = await service.RegisteredAsync();
        var (_, taken) = await service.RegisteredAsync();
        service.Clock.Advance(TimeSpan.FromSeconds(30));
        var wrong = await service.Auth.ReplaceAsync(contractor, old.At(Now, -1), taken.CredentialId, taken.WrongAt(Now));
        Assert.That(wrong.Outcome, Is.EqualTo(Outcome.Mismatch), "whoever guesses is not told whose it is");
        var answer = await service.Auth.ReplaceAsync(contractor, old.At(Now), taken.CredentialId, taken.At(Now));
        Assert.That(answer.Outcome, Is.EqualTo(Outcome.CredentialInUse));
        await ExpectUnchangedAsync(contractor, old, failures: 1);
    }

    [Test]
    public async Task NewCredentialReportedLostHere_IsUnusable()
    {
        var (robbed, lost) = await service.RegisteredAsync();
        await service.Operations.ReportLostAsync(new()
        {
            RequestId = Calls.NewRequestId(), InstitutionId = "demo", ContractorId = robbed, Kind = LossKind.Stolen, Reason = "test",
        });
        var (contractor, old) = await service.RegisteredAsync();
        Assert.That((await service.Auth.ReplaceAsync(contractor, old.At(Now), lost.CredentialId, lost.At(Now))).Outcome, Is.EqualTo(Outcome.CredentialUnusable));
        await ExpectUnchangedAsync(contractor, old, failures: 0);
    }

    [Test]
    public async Task TheSameCredential_IsAlreadyRegistered_ForARightOtpOnly()
    {
        var (contractor, old) = await service.RegisteredAsync();
        Assert.That((await service.Auth.ReplaceAsync(contractor, old.WrongAt(Now), old.CredentialId, old.At(Now))).Outcome, Is.EqualTo(Outcome.Mismatch));
        Assert.That((await service.Auth.ReplaceAsync(contractor, old.At(Now), old.CredentialId, old.At(Now, 1))).Outcome, Is.EqualTo(Outcome.AlreadyRegistered));
        await ExpectUnchangedAsync(contractor, old, failures: 1);
    }

    [Test]
    public async Task UsedOtpOfEither_IsAlreadyUsedAndNotCounted()
    {
        var (contractor, old) = await service.RegisteredAsync();
        var successor = await service.Operations.IssueAsync();
        Assert.That((await service.Auth.VerifyAsync(contractor, old.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
        var answer = await service.Auth.ReplaceAsync(contractor, old.At(Now), successor.CredentialId, successor.At(Now));
        Assert.That((answer.Outcome, answer.AttemptsLeft), Is.EqualTo((Outcome.AlreadyUsed, 5)));

        // Used elsewhere by somebody who has given it up since.
        var (owner, given) = await service.RegisteredAsync();
        Assert.That((await service.Auth.SuspendAsync(owner, given.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
        answer = await service.Auth.ReplaceAsync(contractor, old.At(Now, 1), given.CredentialId, given.At(Now));
        Assert.That((answer.Outcome, answer.AttemptsLeft), Is.EqualTo((Outcome.AlreadyUsed, 5)));
        await ExpectUnchangedAsync(contractor, old, failures: 0);
    }

    [Test]
    public async Task LockedContractor_IsLockedOut_AndNothingIsEvaluated()
    {
        var (contractor, old) = await service.RegisteredAsync();
        var successor = await service.Operations.IssueAsync();
        for (var guess = 0; guess < 5; guess++)
        {
            await service.Auth.ReplaceAsync(contractor, old.WrongAt(Now), successor.CredentialId, successor.At(Now));
        }

        Assert.That((await service.Auth.ReplaceAsync(contractor, old.At(Now), successor.CredentialId, successor.At(Now))).Outcome, Is.EqualTo(Outcome.LockedOut));
        Assert.That((await service.Auth.RegisterAsync(Calls.NewContractor(), successor.CredentialId, successor.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    [Test]
    public async Task Retry_GetsTheFirstAnswer_AlsoFromAnotherReplica()
    {
        await using var replica = await OtpService.StartAsync(service.Stores, service.Clock);
        var (contractor, old) = await service.RegisteredAsync();
        var successor = await service.Operations.IssueAsync();
        var (id, current, next) = (Calls.NewRequestId(), old.At(Now), successor.At(Now));
        var first = await service.Auth.ReplaceAsync(contractor, current, successor.CredentialId, next, id);
        var again = await replica.Auth.ReplaceAsync(contractor, current, successor.CredentialId, next, id);
        Assert.That((again.Outcome, again.Repeated, again.DecidedAt), Is.EqualTo((Outcome.Accepted, true, first.DecidedAt)));
        Assert.That((await service.Operations.BindingAsync(contractor)).History, Has.Count.EqualTo(2));
    }

    /// <summary>Two devices at once, on two replicas: one of them takes over, and at every moment there is one binding.</summary>
    [Test]
    public async Task TwoReplacementsAtOnce_OneTakesOver()
    {
        await using var replica = await OtpService.StartAsync(service.Stores, service.Clock);
        for (var round = 0; round < 5; round++)
        {
            var (contractor, old) = await service.RegisteredAsync();
            var successors = new[] { await service.Operations.IssueAsync(), await service.Operations.IssueAsync() };
            using var ended = new CancellationTokenSource();
            var watching = WatchAsync(contractor, ended.Token);
            var answers = await Task.WhenAll(successors.Select((next, n) => (n == 0 ? service : replica).Auth
                .ReplaceAsync(contractor, old.At(Now), next.CredentialId, next.At(Now)).ResponseAsync));
            await ended.CancelAsync();
            Assert.That(await watching, Is.All.EqualTo(Requirement.Required));
            Assert.That(answers.Select(a => a.Outcome), Has.One.EqualTo(Outcome.Accepted));
            // The other one found the OTP used, or a successor it does not fit; of the hours around now one of four thousand fits by chance.
            Assert.That(answers.Select(a => a.Outcome).Single(o => o != Outcome.Accepted), Is.AnyOf(Outcome.AlreadyUsed, Outcome.Mismatch, Outcome.OutOfSync));
            var history = (await service.Operations.BindingAsync(contractor)).History;
            Assert.That(history.Select(b => b.State), Is.EqualTo([BindingState.Active, BindingState.Replaced]));
        }

        Assert.That(replica.Errors.Errors, Is.Empty);
    }

    private async Task<List<Requirement>> WatchAsync(string contractor, CancellationToken ended)
    {
        var seen = new List<Requirement>();
        do
        {
            seen.Add((await service.Auth.RequirementAsync(contractor)).Requirement);
        }
        while (!ended.IsCancellationRequested);
        return seen;
    }

    private async Task ExpectUnchangedAsync(string contractor, SoftToken current, int failures)
    {
        var binding = await service.Operations.BindingAsync(contractor);
        Assert.That((binding.History.Single().CredentialId, binding.History[0].State), Is.EqualTo((current.CredentialId, BindingState.Active)));
        Assert.That(binding.ConsecutiveFailures, Is.EqualTo(failures));
    }
}
