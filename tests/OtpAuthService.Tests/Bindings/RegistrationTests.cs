using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Bindings;

[TestFixture(StoreKind.Sqlite)]
[TestFixture(StoreKind.Postgres)]
[TestFixture(StoreKind.PostgresRedis)]
public class RegistrationTests(StoreKind kind)
{
    private OtpService service = null!;

    private DateTimeOffset Now => service.Clock.GetUtcNow();

    [OneTimeSetUp]
    public async Task StartAsync() => service = await OtpService.StartAsync(kind);

    [OneTimeTearDown]
    public async Task StopAsync() => await service.DisposeAsync();

    [TearDown]
    public void NoErrorWasLogged() => Assert.That(service.Errors.Errors, Is.Empty);

    [Test]
    public async Task Register_WhileABindingIsActive_IsAlreadyRegisteredAndLeavesTheOtpUnused()
    {
        var (contractor, token) = await service.RegisteredAsync();
        var other = await service.Operations.IssueAsync();

        Assert.That((await service.Auth.RegisterAsync(contractor, other.CredentialId, other.At(Now))).Outcome, Is.EqualTo(Outcome.AlreadyRegistered));
        Assert.That((await service.Auth.RegisterAsync(contractor, token.CredentialId, token.At(Now))).Outcome, Is.EqualTo(Outcome.AlreadyRegistered));
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    [Test]
    public async Task Register_CredentialOfAnotherContractor_IsInUseAndBurnsTheOtp()
    {
        var (holder, token) = await service.RegisteredAsync();
        var thief = Calls.NewContractor();

        var wrong = await service.Auth.RegisterAsync(thief, token.CredentialId, token.WrongAt(Now));
        Assert.That(wrong.Outcome, Is.EqualTo(Outcome.Mismatch), "whether a credential is in use is told to its holder only");
        var refused = await service.Auth.RegisterAsync(thief, token.CredentialId, token.At(Now));
        Assert.That((refused.Outcome, refused.Decision), Is.EqualTo((Outcome.CredentialInUse, Decision.Deny)));
        Assert.That((await service.Auth.VerifyAsync(holder, token.At(Now))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
        Assert.That((await service.Auth.VerifyAsync(holder, token.At(Now, 1))).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    [Test]
    public async Task Register_SameCredentialAtAnotherInstitution_WorksAndSharesItsTimeSteps()
    {
        var (contractor, token) = await service.RegisteredAsync("demo");
        var elsewhere = Calls.NewContractor();

        Assert.That(
            (await service.Auth.RegisterAsync(elsewhere, token.CredentialId, token.At(Now, -1), institution: "minato")).Outcome,
            Is.EqualTo(Outcome.AlreadyUsed));
        Assert.That(
            (await service.Auth.RegisterAsync(elsewhere, token.CredentialId, token.At(Now), institution: "minato")).Outcome,
            Is.EqualTo(Outcome.Accepted));
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now, 1))).Outcome, Is.EqualTo(Outcome.Accepted));
        Assert.That(
            (await service.Auth.VerifyAsync(elsewhere, token.At(Now, 1), institution: "minato")).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
    }

    [Test]
    public async Task Register_IdAsCustomersTypeIt_FindsTheCredential()
    {
        var token = await service.Operations.IssueAsync();
        var typed = $" {token.CredentialId[..4].ToLowerInvariant()}-{token.CredentialId[4..8]} {token.CredentialId[8..]}";
        Assert.That((await service.Auth.RegisterAsync(Calls.NewContractor(), typed, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    [Test]
    public async Task Contractors_DifferingInCaseOnly_AreTwo()
    {
        var (contractor, token) = await service.RegisteredAsync();
        Assert.That((await service.Auth.VerifyAsync(contractor.ToLowerInvariant(), token.At(Now))).Outcome, Is.EqualTo(Outcome.NotRegistered));
    }

    [TestCase(Purpose.Login, Decision.Allow)]
    [TestCase(Purpose.Transfer, Decision.Deny)]
    [TestCase(Purpose.SettingsChange, Decision.Deny)]
    public async Task Verify_ContractorWithoutCredential_IsDecidedByPolicy(Purpose purpose, Decision decision)
    {
        var answer = await service.Auth.VerifyAsync(Calls.NewContractor(), "123456", purpose: purpose);
        Assert.That((answer.Outcome, answer.Decision), Is.EqualTo((Outcome.NotRegistered, decision)));
    }

    [Test]
    public async Task Suspend_Repeated_IsAllowedAndKeepsTheOtpUnused()
    {
        var (contractor, token) = await service.RegisteredAsync();
        Assert.That((await service.Auth.SuspendAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));

        var again = await service.Auth.SuspendAsync(contractor, token.At(Now, 1));
        Assert.That((again.Outcome, again.Decision), Is.EqualTo((Outcome.Suspended, Decision.Allow)));
        Assert.That((await service.Auth.RegisterAsync(contractor, token.CredentialId, token.At(Now, 1))).Outcome, Is.EqualTo(Outcome.Accepted));
        var binding = await service.Operations.BindingAsync(contractor);
        Assert.That(binding.History.Select(b => b.State), Is.EqualTo(new[] { BindingState.Active, BindingState.Suspended }));
    }

    [Test]
    public async Task Suspend_WrongUsedOrNoOtpAtAll_LeavesTheBindingActive()
    {
        var (contractor, token) = await service.RegisteredAsync();
        Assert.That((await service.Auth.SuspendAsync(contractor, token.WrongAt(Now))).Outcome, Is.EqualTo(Outcome.Mismatch));
        Assert.That((await service.Auth.SuspendAsync(contractor, token.At(Now, -1))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
        Assert.That((await service.Auth.SuspendAsync(Calls.NewContractor(), "123456")).Outcome, Is.EqualTo(Outcome.NotRegistered));
    }

    [Test]
    public async Task Suspend_FreesTheCredentialForAnotherContractor()
    {
        var (contractor, token) = await service.RegisteredAsync();
        await service.Auth.SuspendAsync(contractor, token.At(Now));
        Assert.That(
            (await service.Auth.RegisterAsync(Calls.NewContractor(), token.CredentialId, token.At(Now, 1))).Outcome, Is.EqualTo(Outcome.Accepted));
    }
}
