using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Services;

/// <summary>The notice's journey, step by step, on every store set.</summary>
[TestFixture(StoreKind.Sqlite)]
[TestFixture(StoreKind.Postgres)]
[TestFixture(StoreKind.PostgresRedis)]
public class JourneyTests(StoreKind kind)
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
    public async Task Customer_WholeJourney_IsAnsweredAsTheNoticeSays()
    {
        var token = await service.Operations.IssueAsync();
        var contractor = Calls.NewContractor();
        Assert.That((await service.Auth.RequirementAsync(contractor)).Requirement, Is.EqualTo(Requirement.NotRegistered));

        var registration = token.At(Now, -1);
        var registered = await service.Auth.RegisterAsync(contractor, token.CredentialId, registration);
        Expect(registered, Outcome.Accepted, Decision.Allow);
        Assert.That((await service.Auth.RequirementAsync(contractor)).Requirement, Is.EqualTo(Requirement.Required));

        var login = token.At(Now);
        Expect(await service.Auth.VerifyAsync(contractor, login), Outcome.Accepted, Decision.Allow);
        Expect(await service.Auth.VerifyAsync(contractor, login), Outcome.AlreadyUsed, Decision.Deny);
        Expect(await service.Auth.VerifyAsync(contractor, registration), Outcome.AlreadyUsed, Decision.Deny);
        var wrong = await service.Auth.VerifyAsync(contractor, token.WrongAt(Now));
        Expect(wrong, Outcome.Mismatch, Decision.Deny);
        Assert.That(wrong.AttemptsLeft, Is.EqualTo(4));
        Expect(await service.Auth.VerifyAsync(contractor, "", channel: Channel.FeaturePhone), Outcome.Bypassed, Decision.Allow);

        Expect(await service.Auth.SuspendAsync(contractor, token.At(Now, 1)), Outcome.Accepted, Decision.Allow);
        Expect(await service.Auth.VerifyAsync(contractor, token.At(Now, 1)), Outcome.Suspended, Decision.Allow);
        Expect(await service.Auth.VerifyAsync(contractor, token.At(Now, 1), purpose: Purpose.Transfer), Outcome.Suspended, Decision.Deny);
        Assert.That((await service.Auth.RequirementAsync(contractor)).Requirement, Is.EqualTo(Requirement.NotRegistered));

        var other = await service.Operations.IssueAsync();
        Expect(await service.Auth.RegisterAsync(contractor, other.CredentialId, other.At(Now)), Outcome.Accepted, Decision.Allow);
        Expect(await service.Auth.VerifyAsync(contractor, other.At(Now, 1)), Outcome.Accepted, Decision.Allow);
    }

    private static void Expect(IOtpAnswer answer, Outcome outcome, Decision decision) =>
        Assert.That((answer.Outcome, answer.Decision, answer.Repeated), Is.EqualTo((outcome, decision, false)));
}
