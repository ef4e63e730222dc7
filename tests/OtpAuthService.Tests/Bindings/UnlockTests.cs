using Grpc.Core;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Bindings;

/// <summary>An operator ends a lock, and what happens when a token that was lost comes up again.</summary>
[TestFixture(StoreKind.Sqlite)]
[TestFixture(StoreKind.Postgres)]
[TestFixture(StoreKind.PostgresRedis)]
public class UnlockTests(StoreKind kind)
{
    private OtpService here = null!;
    private OtpService there = null!;

    private DateTimeOffset Now => here.Clock.GetUtcNow();

    [OneTimeSetUp]
    public async Task StartAsync()
    {
        here = await OtpService.StartAsync(kind);
        there = kind == StoreKind.Sqlite ? here : await OtpService.StartAsync(here.Stores, here.Clock);
    }

    [OneTimeTearDown]
    public async Task StopAsync()
    {
        if (there != here)
        {
            await there.DisposeAsync();
        }

        await here.DisposeAsync();
    }

    [TearDown]
    public void NoErrorWasLogged() => Assert.That(here.Errors.Errors.Concat(there.Errors.Errors), Is.Empty);

    [TestCase(5, TestName = "{m}(a lock that would end by itself)")]
    [TestCase(10, TestName = "{m}(a lock that only an operator ends)")]
    public async Task Unlock_OfALockedContractor_HoldsOnEveryReplicaFromItsAnswerOn(int failures)
    {
        var (contractor, token) = await here.RegisteredAsync();
        for (var guess = 0; guess < failures; guess++)
        {
            if (guess == 5)
            {
                here.Clock.Advance(TimeSpan.FromMinutes(31));
            }

            await there.Auth.VerifyAsync(contractor, token.WrongAt(Now));
        }

        Assert.That((await there.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.LockedOut));
        await here.Operations.UnlockAsync(contractor);
        Assert.That((await there.Auth.RequirementAsync(contractor)).Requirement, Is.EqualTo(Requirement.Required));
        var wrong = await there.Auth.VerifyAsync(contractor, token.WrongAt(Now));
        Assert.That((wrong.Outcome, wrong.AttemptsLeft), Is.EqualTo((Outcome.Mismatch, 4)), "the budget is whole again");
        Assert.That((await there.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted), "the OTP that was sent while locked was not claimed");
        var record = (await here.AuditOfAsync("Unlock")).Last();
        Assert.That((record.ContractorId, record.Reason), Is.EqualTo((contractor, "mistyped")));
    }

    /// <summary>An Unlock that is delivered again clears nothing that was counted since.</summary>
    [Test]
    public async Task Unlock_Repeated_ClearsOnce()
    {
        var (contractor, token) = await here.RegisteredAsync();
        await there.Auth.VerifyAsync(contractor, token.WrongAt(Now));
        var id = Calls.NewRequestId();
        await here.Operations.UnlockAsync(contractor, id);
        await there.Auth.VerifyAsync(contractor, token.WrongAt(Now));
        Assert.That((await there.Operations.UnlockAsync(contractor, id)).Repeated, Is.True);
        Assert.That((await there.Operations.BindingAsync(contractor)).ConsecutiveFailures, Is.EqualTo(1));
    }

    [Test]
    public async Task Token_ReportedLostAndUsedAgain_IsRefusedNoticedAndNeverRegisteredHereAgain()
    {
        var (contractor, token) = await here.RegisteredAsync();
        await here.Operations.ReportLostAsync(contractor);
        await here.Operations.OpenReregistrationAsync(contractor);

        var used = await there.Auth.VerifyAsync(contractor, token.At(Now));
        Assert.That((used.Outcome, used.Decision), Is.EqualTo((Outcome.Lost, Decision.Deny)));
        Assert.That(there.Errors.All, Does.Contain("LOST_CREDENTIAL_USED"));
        var record = (await here.AuditOfAsync("Verify")).Last(r => r.ContractorId == contractor);
        Assert.That(record.Reason, Is.EqualTo("right OTP of the lost credential"));
        foreach (var somebody in new[] { contractor, Calls.NewContractor() })
        {
            Assert.That((await there.Auth.RegisterAsync(somebody, token.CredentialId, token.At(Now, 1))).Outcome, Is.EqualTo(Outcome.CredentialUnusable));
        }
    }

    [Test]
    public async Task Reregistration_Open_EndsByTimeByUseAndByAnotherLoss()
    {
        var (contractor, _) = await here.RegisteredAsync();
        await here.Operations.ReportLostAsync(contractor);
        var opened = await here.Operations.OpenReregistrationAsync(contractor, TimeSpan.FromMinutes(10));
        Assert.That(opened.OpenUntil.ToDateTimeOffset() - opened.DecidedAt.ToDateTimeOffset(), Is.EqualTo(TimeSpan.FromMinutes(10)));
        here.Clock.Advance(TimeSpan.FromMinutes(10));
        Assert.That(await RegisterAnotherAsync(), Is.EqualTo(Outcome.Lost), "its time is over");

        await here.Operations.OpenReregistrationAsync(contractor);
        await here.Operations.ReportLostAsync(contractor);
        Assert.That(await RegisterAnotherAsync(), Is.EqualTo(Outcome.Lost), "reported lost again");

        await here.Operations.OpenReregistrationAsync(contractor);
        Assert.That(await RegisterAnotherAsync(), Is.EqualTo(Outcome.Accepted));
        await here.Operations.ReportLostAsync(contractor);
        Assert.That(await RegisterAnotherAsync(), Is.EqualTo(Outcome.Lost), "it was for one registration");

        async Task<Outcome> RegisterAnotherAsync()
        {
            var another = await here.Operations.IssueAsync();
            return (await there.Auth.RegisterAsync(contractor, another.CredentialId, another.At(Now))).Outcome;
        }
    }

    [Test]
    public async Task Reregistration_BeyondTheBounds_IsRefused([Values(599, 604_801)] int seconds)
    {
        var (contractor, _) = await here.RegisteredAsync();
        await here.Operations.ReportLostAsync(contractor);
        var refusal = await Refusal.OfAsync(async () => await here.Operations.OpenReregistrationAsync(contractor, TimeSpan.FromSeconds(seconds)));
        Assert.That((refusal.Code, refusal.Fields.Single()), Is.EqualTo((StatusCode.InvalidArgument, "valid_for")));
    }
}
