using Grpc.Core;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Bindings;

/// <summary>A reported loss stops the contractor's credential here at once, and at other institutions as their policy says.</summary>
[TestFixture(StoreKind.Sqlite)]
[TestFixture(StoreKind.Postgres)]
[TestFixture(StoreKind.PostgresRedis)]
public class LossTests(StoreKind kind)
{
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
    public async Task Contractor_WhoseCredentialIsLost_IsRefusedEverythingFromTheAnswerOnByEveryReplica()
    {
        await using var replica = kind == StoreKind.Sqlite ? null : await OtpService.StartAsync(service.Stores, service.Clock);
        var there = replica ?? service;
        var (contractor, token) = await service.RegisteredAsync();
        await there.Auth.VerifyAsync(contractor, token.At(Now));
        var another = await service.Operations.IssueAsync();

        await ReportAsync(contractor);
        foreach (var purpose in new[] { Purpose.Login, Purpose.Transfer })
        {
            var answer = await there.Auth.VerifyAsync(contractor, token.At(Now, 1), purpose: purpose);
            Assert.That((answer.Outcome, answer.Decision), Is.EqualTo((Outcome.Lost, Decision.Deny)), $"{purpose}");
        }

        Assert.That((await there.Auth.RequirementAsync(contractor)).Requirement, Is.EqualTo(Requirement.Blocked));
        var suspend = await there.Auth.SuspendAsync(contractor, token.At(Now, 1));
        Assert.That((suspend.Outcome, suspend.Decision), Is.EqualTo((Outcome.Lost, Decision.Deny)));
        var register = await there.Auth.RegisterAsync(contractor, another.CredentialId, another.At(Now));
        Assert.That((register.Outcome, register.Decision), Is.EqualTo((Outcome.Lost, Decision.Deny)));
        Assert.That((await service.Operations.BindingAsync(contractor)).History[0].State, Is.EqualTo(BindingState.Lost));
        var shown = await service.Operations.GetCredentialAsync(new GetCredentialRequest { InstitutionId = "demo", CredentialId = token.CredentialId });
        Assert.That(shown.Credential.Status, Is.EqualTo(CredentialStatus.Lost));
        var record = (await service.AuditOfAsync("ReportLost")).Single();
        Assert.That((record.ContractorId, record.Reason, record.Outcome), Is.EqualTo((contractor, "called the help desk", Outcome.Accepted)));
    }

    /// <summary>It may be in the bag that was stolen: only one that is issued after the loss is taken.</summary>
    [Test]
    public async Task TemporaryOtp_IssuedBeforeTheLoss_IsRefusedFromTheAnswerOnByEveryReplica([Values] bool reportedTwice)
    {
        await using var replica = kind == StoreKind.Sqlite ? null : await OtpService.StartAsync(service.Stores, service.Clock);
        var there = replica ?? service;
        var (contractor, token) = await service.RegisteredAsync();
        await there.Auth.VerifyAsync(contractor, token.At(Now));
        if (reportedTwice)
        {
            await ReportAsync(contractor);
        }

        var before = await service.Operations.IssueTemporaryOtpAsync(contractor, uses: 5);
        await ReportAsync(contractor);

        Assert.That((await there.Auth.RequirementAsync(contractor)).Requirement, Is.EqualTo(Requirement.Blocked));
        Assert.That((await there.Auth.VerifyAsync(contractor, before.TemporaryOtp)).Outcome, Is.EqualTo(Outcome.Lost));
        var after = await service.Operations.IssueTemporaryOtpAsync(contractor);
        Assert.That((await there.Auth.VerifyAsync(contractor, after.TemporaryOtp)).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    /// <summary>After 利用停止 the contractor goes on without OTPs, and nobody who has the token can register it in their name.</summary>
    [Test]
    public async Task Token_LostAfterItsSuspension_IsNeverTakenAgain()
    {
        var (contractor, token) = await service.RegisteredAsync();
        await service.Auth.SuspendAsync(contractor, token.At(Now));
        await ReportAsync(contractor);

        var login = await service.Auth.VerifyAsync(contractor, token.At(Now, 1));
        Assert.That((login.Outcome, login.Decision), Is.EqualTo((Outcome.Suspended, Decision.Allow)));
        Assert.That((await service.Auth.RegisterAsync(contractor, token.CredentialId, token.At(Now, 1))).Outcome, Is.EqualTo(Outcome.CredentialUnusable));
        Assert.That((await service.Auth.RegisterAsync(Calls.NewContractor(), token.CredentialId, token.At(Now, 1))).Outcome, Is.EqualTo(Outcome.CredentialUnusable));
        var another = await service.Operations.IssueAsync();
        Assert.That((await service.Auth.RegisterAsync(contractor, another.CredentialId, another.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    /// <summary>Also for an OTP that was matched before: claims that race with the report end before it or not at all.</summary>
    [Test]
    public async Task Report_RacingWithVerifies_LetsNoneThroughAfterItsAnswer()
    {
        var registered = new List<(string Contractor, SoftToken Token)>();
        for (var i = 0; i < 20; i++)
        {
            registered.Add(await service.RegisteredAsync());
        }

        await Task.WhenAll(registered.Select(async r =>
        {
            var racing = service.Auth.VerifyAsync(r.Contractor, r.Token.At(Now)).ResponseAsync;
            await ReportAsync(r.Contractor);
            var after = await service.Auth.VerifyAsync(r.Contractor, r.Token.At(Now, 1));
            Assert.That(after.Outcome, Is.EqualTo(Outcome.Lost));
            Assert.That((await racing).Outcome, Is.EqualTo(Outcome.Accepted).Or.EqualTo(Outcome.Lost));
        }));
    }

    [Test]
    public async Task Credential_LostElsewhere_GoesOnWithASignalOrIsRefusedAsThePolicySays()
    {
        var (atDemo, token) = await service.RegisteredAsync("demo");
        var atMinato = Calls.NewContractor();
        await service.Auth.RegisterAsync(atMinato, token.CredentialId, token.At(Now), institution: "minato");
        await ReportAsync(atDemo);

        Assert.That((await service.Auth.VerifyAsync(atMinato, token.At(Now, 1), institution: "minato")).Outcome, Is.EqualTo(Outcome.Accepted));
        Assert.That(service.Errors.All, Does.Contain("LOST_CREDENTIAL_USED"));

        await BlockAsync("minato");
        service.Clock.Advance(TimeSpan.FromSeconds(60));
        var blocked = await service.Auth.VerifyAsync(atMinato, token.At(Now), institution: "minato");
        Assert.That((blocked.Outcome, blocked.Decision), Is.EqualTo((Outcome.CredentialUnusable, Decision.Deny)));
        var wrong = await service.Auth.VerifyAsync(atMinato, token.WrongAt(Now), institution: "minato");
        Assert.That(wrong.Outcome, Is.EqualTo(Outcome.Mismatch), "is counted as ever");
    }

    [Test]
    public async Task Credential_Lost_CannotBeRegisteredHereAgainAndElsewhereAsThePolicySays()
    {
        var (lost, token) = await service.RegisteredAsync("demo");
        await ReportAsync(lost);
        Assert.That(
            (await service.Auth.RegisterAsync(Calls.NewContractor(), token.CredentialId, token.At(Now))).Outcome, Is.EqualTo(Outcome.CredentialUnusable));
        Assert.That(
            (await service.Auth.RegisterAsync(Calls.NewContractor(), token.CredentialId, token.At(Now), institution: "minato")).Outcome,
            Is.EqualTo(Outcome.Accepted));
        await BlockAsync("minato");
        Assert.That(
            (await service.Auth.RegisterAsync(Calls.NewContractor(), token.CredentialId, token.At(Now, 1), institution: "minato")).Outcome,
            Is.AnyOf(Outcome.CredentialUnusable, Outcome.CredentialInUse));
    }

    [Test]
    public async Task Report_SentAgainOrMadeAgain_IsAnsweredAndChangesNothing()
    {
        var (contractor, _) = await service.RegisteredAsync();
        var id = Calls.NewRequestId();
        var first = await ReportAsync(contractor, id);
        var again = await ReportAsync(contractor, id);
        Assert.That((first.Repeated, again.Repeated, again.DecidedAt), Is.EqualTo((false, true, first.DecidedAt)));
        Assert.That((await ReportAsync(contractor)).Repeated, Is.False);
        Assert.That((await service.Operations.BindingAsync(contractor)).History, Has.Count.EqualTo(1));
    }

    [Test]
    public async Task Report_OfAContractorWhoNeverRegistered_IsFailedPrecondition()
    {
        var refusal = await Refusal.OfAsync(() => ReportAsync(Calls.NewContractor()));
        Assert.That((refusal.Code, refusal.Info), Is.EqualTo((StatusCode.FailedPrecondition, ("BINDING_NOT_ACTIVE", "otpauth.v1"))));
    }

    [Test]
    public async Task Report_WithoutKindOrReason_IsInvalid()
    {
        var refusal = await Refusal.OfAsync(async () => await service.Operations.ReportLostAsync(
            new ReportLostRequest { RequestId = Calls.NewRequestId(), InstitutionId = "demo", ContractorId = "C-1" }));
        Assert.That((refusal.Code, string.Join(',', refusal.Fields)), Is.EqualTo((StatusCode.InvalidArgument, "kind,reason")));
    }

    private async Task<ReportLostResponse> ReportAsync(string contractor, string? requestId = null) => await service.Operations.ReportLostAsync(new ReportLostRequest
    {
        RequestId = requestId ?? Calls.NewRequestId(),
        InstitutionId = "demo",
        ContractorId = contractor,
        Kind = LossKind.Stolen,
        Reason = "called the help desk",
    });

    private async Task BlockAsync(string institution)
    {
        var current = await service.Operations.GetInstitutionAsync(new GetInstitutionRequest { InstitutionId = institution });
        current.Policy.ForeignLossReports = ForeignLossReports.Block;
        await service.Operations.SetInstitutionPolicyAsync(new SetInstitutionPolicyRequest
        {
            RequestId = Calls.NewRequestId(),
            InstitutionId = institution,
            DisplayName = current.DisplayName,
            Policy = current.Policy,
            ExpectedVersion = current.PolicyVersion,
            Reason = "a test",
        });
    }
}
