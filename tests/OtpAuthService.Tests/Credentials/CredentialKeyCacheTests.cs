using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using OtpAuthService.Bindings;
using OtpAuthService.Credentials;
using OtpAuthService.Keys;
using OtpAuthService.Institutions;
using OtpAuthService.Storage;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Credentials;

/// <summary>
/// Promise P2 with a key in memory: one replica has it, the other changes what it belongs to, and the first decides on what is current
/// at once.
/// </summary>
[TestFixture(StoreKind.Postgres)]
[TestFixture(StoreKind.PostgresRedis)]
public class CredentialKeyCacheTests(StoreKind kind)
{
    private const int Entries = 1_000;

    private StoresUnderTest stores = null!;
    private OtpService service = null!;
    private OtpService other = null!;

    private DateTimeOffset Now => service.Clock.GetUtcNow();

    private CredentialKeyCache Keys => service.Services.GetRequiredService<CredentialKeyCache>();

    [OneTimeSetUp]
    public async Task StartAsync()
    {
        stores = await StoresUnderTest.CreateAsync(kind);
        service = await OtpService.StartAsync(stores, clock: null, $"--OtpAuth:KeyCacheEntries={Entries}");
        other = await OtpService.StartAsync(stores, service.Clock);
    }

    [OneTimeTearDown]
    public async Task StopAsync()
    {
        await other.DisposeAsync();
        await service.DisposeAsync();
        stores.Dispose();
    }

    [SetUp]
    public void ForgetErrors()
    {
        service.Errors.Clear();
        other.Errors.Clear();
    }

    [TearDown]
    public void NoErrorWasLogged() => Assert.That(service.Errors.Errors.Concat(other.Errors.Errors), Is.Empty);

    [Test]
    public async Task Verify_SuspendedAtAnotherReplica_IsSuspendedAtOnce([Values] bool right)
    {
        var (contractor, token) = await CachedAsync();
        Assert.That((await other.Auth.SuspendAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));

        var answer = await service.Auth.VerifyAsync(contractor, right ? token.At(Now, 1) : token.WrongAt(Now));

        Assert.That(answer.Outcome, Is.EqualTo(Outcome.Suspended));
        Assert.That((await service.Operations.BindingAsync(contractor)).ConsecutiveFailures, Is.Zero);
        Assert.That(Keys.TryGet(Of(contractor), out _), Is.False, "the key is not kept any longer than it is of use");
    }

    /// <summary>The OTP of the new credential is none of the cached one: that is no evidence for a wrong OTP.</summary>
    [Test]
    public async Task Verify_AnotherCredentialRegisteredAtAnotherReplica_IsDecidedOnThatOne()
    {
        var (contractor, old) = await CachedAsync();
        await other.Auth.SuspendAsync(contractor, old.At(Now));
        var token = await other.Operations.IssueAsync();
        Assert.That((await other.Auth.RegisterAsync(contractor, token.CredentialId, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));

        var accepted = await service.Auth.VerifyAsync(contractor, token.At(Now, 1));

        Assert.That((accepted.Outcome, accepted.AttemptsLeft), Is.EqualTo((Outcome.Accepted, 5)));
    }

    /// <summary>It matches the cached key and nothing else: wrong, and counted once although it is looked at twice.</summary>
    [Test]
    public async Task Verify_OtpOfTheFormerCredential_IsAMismatchCountedOnce()
    {
        var (contractor, old) = await CachedAsync();
        await other.Auth.SuspendAsync(contractor, old.At(Now));
        var token = await other.Operations.IssueAsync();
        await other.Auth.RegisterAsync(contractor, token.CredentialId, token.At(Now));

        var answer = await service.Auth.VerifyAsync(contractor, old.At(Now, 1));

        Assert.That((answer.Outcome, answer.AttemptsLeft), Is.EqualTo((Outcome.Mismatch, 4)));
        Assert.That((await service.Operations.BindingAsync(contractor)).ConsecutiveFailures, Is.EqualTo(1));
        Assert.That((await service.AuditAsync(contractor)).Count(r => r.Outcome == Outcome.Mismatch), Is.EqualTo(1));
    }

    /// <summary>Suspended and registered again with the same credential: a new binding, whose key is as it was.</summary>
    [Test]
    public async Task Verify_SameCredentialRegisteredAnewAtAnotherReplica_IsAcceptedOnce()
    {
        var (contractor, token) = await CachedAsync();
        await other.Auth.SuspendAsync(contractor, token.At(Now));
        Assert.That((await other.Auth.RegisterAsync(contractor, token.CredentialId, token.At(Now, 1))).Outcome, Is.EqualTo(Outcome.Accepted));
        service.Clock.Advance(TimeSpan.FromSeconds(30));

        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now, 1))).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    [Test]
    public async Task Verify_EpochRaisedAndDriftLearntSinceTheKeyWasCached_IsMatchedAnew()
    {
        const int Drift = 40;
        var (contractor, token) = await CachedAsync();
        var id = CredentialId.Parse(token.CredentialId);
        await ChangeAsync(db => db.Credentials.Where(c => c.CredentialId == id)
            .ExecuteUpdateAsync(set => set.SetProperty(c => c.Epoch, c => c.Epoch + 1).SetProperty(c => c.DriftSteps, Drift)));

        var accepted = await service.Auth.VerifyAsync(contractor, token.At(Now, Drift));

        Assert.That((accepted.Outcome, accepted.AttemptsLeft), Is.EqualTo((Outcome.Accepted, 5)));
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now, 1))).Outcome, Is.EqualTo(Outcome.Mismatch), "the window has moved");
    }

    /// <summary>A drift alone, without an epoch: also then a wrong OTP is not decided on the old reading.</summary>
    [Test]
    public async Task Verify_DriftLearntSinceTheKeyWasCached_IsNoEvidenceForAMismatch()
    {
        const int Drift = 40;
        var (contractor, token) = await CachedAsync();
        var id = CredentialId.Parse(token.CredentialId);
        await ChangeAsync(db => db.Credentials.Where(c => c.CredentialId == id).ExecuteUpdateAsync(set => set.SetProperty(c => c.DriftSteps, Drift)));

        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now, Drift))).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    [Test]
    public async Task Verify_EpochRaisedSinceTheKeyWasCached_IsDecidedOnce()
    {
        var (contractor, token) = await CachedAsync();
        var id = CredentialId.Parse(token.CredentialId);
        await ChangeAsync(db => db.Credentials.Where(c => c.CredentialId == id).ExecuteUpdateAsync(set => set.SetProperty(c => c.Epoch, c => c.Epoch + 1)));

        Assert.That((await service.Auth.VerifyAsync(contractor, token.WrongAt(Now))).AttemptsLeft, Is.EqualTo(4));
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    [Test]
    public async Task Verify_CredentialExpiredSinceTheKeyWasCached_IsUnusable()
    {
        var (contractor, token) = await CachedAsync();
        var id = CredentialId.Parse(token.CredentialId);
        await ChangeAsync(db => db.Credentials.Where(c => c.CredentialId == id).ExecuteUpdateAsync(set => set.SetProperty(c => c.ValidUntil, Now)));

        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.CredentialUnusable));
    }

    [Test]
    public async Task Verify_NotRegistered_IsNeverRemembered()
    {
        var token = await other.Operations.IssueAsync();
        var contractor = Calls.NewContractor();
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.NotRegistered));
        await other.Auth.RegisterAsync(contractor, token.CredentialId, token.At(Now));

        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now, 1))).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    [Test]
    public async Task Verify_SecondTime_StartsWithoutReadingTheBinding()
    {
        var (contractor, token) = await service.RegisteredAsync();
        Assert.That(Keys.TryGet(Of(contractor), out _), Is.False);

        await service.Auth.VerifyAsync(contractor, token.At(service.Clock.GetUtcNow()));

        Assert.That(Keys.TryGet(Of(contractor), out _), Is.True);
    }

    /// <summary>Nothing is to be expected of contractors with something against them, so nothing is remembered either.</summary>
    [Test]
    public async Task Verify_AfterAWrongOtp_ReadsTheBindingUntilARightOne()
    {
        var now = service.Clock.GetUtcNow();
        var (contractor, token) = await service.RegisteredAsync();
        await service.Auth.VerifyAsync(contractor, token.At(now));

        await service.Auth.VerifyAsync(contractor, token.WrongAt(now));
        Assert.That(Keys.TryGet(Of(contractor), out _), Is.False);
        await service.Auth.VerifyAsync(contractor, token.WrongAt(now));
        Assert.That(Keys.TryGet(Of(contractor), out _), Is.False);

        await service.Auth.VerifyAsync(contractor, token.At(now, 1));
        await service.Auth.VerifyAsync(contractor, token.At(now, 1));
        Assert.That(Keys.TryGet(Of(contractor), out _), Is.True);
    }

    [Test]
    public void Keep_OfMoreContractorsThanEntries_StaysWithinItsBound()
    {
        var credential = new KeyedCredential(1, 0, new PinnedKey(20), Algorithm.Sha1, 6, 30, 0, OtpAuthService.Credentials.CredentialStatus.Active, "issued");
        for (var i = 0; i < 5 * Entries; i++)
        {
            Keys.Keep(Of($"B-{i}"), new BoundKey(i, credential));
            Assert.That(Keys.Count, Is.LessThanOrEqualTo(Entries));
        }

        Assert.That(Keys.Count, Is.GreaterThan(Entries / 2));
        for (var i = 0; i < 5 * Entries; i++)
        {
            Keys.Forget(Of($"B-{i}"));
        }
    }

    private static ContractorRef Of(string contractor) => new(InstitutionId.Parse("demo"), ContractorId.Parse(contractor));

    /// <summary>A contractor whose key the first replica has in memory, and who has two unused OTPs.</summary>
    private async Task<(string Contractor, SoftToken Token)> CachedAsync()
    {
        var (contractor, token) = await service.RegisteredAsync();
        // A replay looks at the key and changes nothing.
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now, -1))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
        Assert.That(Keys.TryGet(Of(contractor), out _), Is.True);
        return (contractor, token);
    }

    private async Task ChangeAsync(Func<OtpDbContext, Task<int>> change)
    {
        await using var db = service.Services.GetRequiredService<StoreSet>().CreateContext();
        Assert.That(await change(db), Is.EqualTo(1));
    }
}
