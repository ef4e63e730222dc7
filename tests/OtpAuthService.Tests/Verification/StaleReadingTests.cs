using System.Collections.Frozen;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using OtpAuthService.Bindings;
using OtpAuthService.Callers;
using OtpAuthService.Institutions;
using OtpAuthService.Storage;
using OtpAuthService.Submissions;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.Verification;
using BindingState = OtpAuthService.Bindings.BindingState;
using Otp = OtpAuthService.Verification.Otp;

namespace OtpAuthService.Tests.Verification;

/// <summary>
/// Promise P2: between an OTP's match and its claim anything may happen. The race is too narrow to hit over gRPC, so the two halves of
/// one Verify are called one after the other here, with the change in between.
/// </summary>
[TestFixture(StoreKind.Sqlite)]
[TestFixture(StoreKind.Postgres)]
public class StaleReadingTests(StoreKind kind)
{
    private OtpService service = null!;

    private DateTimeOffset Now => service.Clock.GetUtcNow();

    [OneTimeSetUp]
    public async Task StartAsync() => service = await OtpService.StartAsync(kind);

    [OneTimeTearDown]
    public async Task StopAsync() => await service.DisposeAsync();

    [Test]
    public async Task Claim_NothingChangedSinceTheMatch_IsGranted()
    {
        var (contractor, token) = await service.RegisteredAsync();
        var matched = await MatchAsync(contractor, token.At(Now, 1));

        Assert.That(matched.Otp.Step, Is.Not.Null);
        Assert.That((await ClaimAsync(matched))?.Verdict.Outcome, Is.EqualTo(V1.Outcome.Accepted));
    }

    [Test]
    public async Task Claim_SuspendedSinceTheMatch_IsOutOfDate()
    {
        var (contractor, token) = await service.RegisteredAsync();
        var matched = await MatchAsync(contractor, token.At(Now, 1));

        Assert.That((await service.Auth.SuspendAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(V1.Outcome.Accepted));

        Assert.That(await ClaimAsync(matched), Is.Null);
    }

    /// <summary>Not even counted: the OTP was held against a credential that is no longer the contractor's.</summary>
    [Test]
    public async Task Count_SuspendedSinceTheMatch_IsOutOfDateAndCountsNothing()
    {
        var (contractor, token) = await service.RegisteredAsync();
        var missed = await MatchAsync(contractor, token.WrongAt(Now));

        Assert.That((await service.Auth.SuspendAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(V1.Outcome.Accepted));

        Assert.That(await ClaimAsync(missed), Is.Null);
        Assert.That((await service.Operations.BindingAsync(contractor)).ConsecutiveFailures, Is.Zero);
    }

    [Test]
    public async Task Claim_BindingEndedByAnybodySinceTheMatch_IsOutOfDate()
    {
        var (contractor, token) = await service.RegisteredAsync();
        var matched = await MatchAsync(contractor, token.At(Now));

        await using var db = service.Services.GetRequiredService<StoreSet>().CreateContext();
        await db.Bindings.Where(b => b.Id == matched.Binding.Id).ExecuteUpdateAsync(set => set.SetProperty(b => b.State, BindingState.Suspended));

        Assert.That(await ClaimAsync(matched), Is.Null);
    }

    /// <summary>The credential's epoch alone: the binding at the other institution is as it was.</summary>
    [Test]
    public async Task Claim_CredentialsEpochRaisedSinceTheMatch_IsOutOfDate()
    {
        var (contractor, token) = await service.RegisteredAsync();
        var matched = await MatchAsync(contractor, token.At(Now));

        await using var db = service.Services.GetRequiredService<StoreSet>().CreateContext();
        await db.Credentials.Where(c => c.Id == matched.Otp.Credential.Id).ExecuteUpdateAsync(set => set.SetProperty(c => c.Epoch, c => c.Epoch + 1));

        Assert.That(await ClaimAsync(matched), Is.Null);
        // Over gRPC the service reads again and decides on what is current.
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(V1.Outcome.Accepted));
    }

    private async Task<Matched> MatchAsync(string contractor, string digits)
    {
        var who = new ContractorRef(InstitutionId.Parse("demo"), ContractorId.Parse(contractor));
        var (institution, binding, credential, _) =
            await service.Services.GetRequiredService<BindingDirectory>().FindAsync(who, Reading.Anew, CancellationToken.None);
        Assert.That(Otp.TryParse(digits, out var otp), Is.True);
        return new Matched(who, institution, binding!.Value, service.Services.GetRequiredService<OtpChecker>().Check(credential!, institution, otp));
    }

    private Task<Answer?> ClaimAsync(Matched matched)
    {
        var caller = new Caller("test", CallerRoles.Frontend, new[] { matched.Contractor.Institution }.ToFrozenSet());
        var submission = new Submission(caller, Calls.NewRequestId(), "Verify", matched.Contractor.Institution, [], matched.Contractor.Contractor);
        return service.Services.GetRequiredService<DecisionLedger>().DecideAsync(
            new PendingDecision(submission, turn => new(OtpChecker.Settle(turn, matched.Binding, matched.Otp)), CancellationToken.None)
            {
                Otp = matched.Otp,
                Policy = matched.Institution,
                Proposal = OtpChecker.Propose(matched.Otp, matched.Institution, service.Clock.GetUtcNow()),
            });
    }

    private sealed record Matched(ContractorRef Contractor, Institution Institution, BindingReading Binding, CheckedOtp Otp);
}
