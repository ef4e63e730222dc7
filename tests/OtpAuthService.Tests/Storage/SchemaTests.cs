using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using OtpAuthService.Bindings;
using OtpAuthService.Credentials;
using OtpAuthService.Institutions;
using OtpAuthService.Storage;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.Verification;

namespace OtpAuthService.Tests.Storage;

/// <summary>What the database itself refuses, whoever writes to it.</summary>
[TestFixture(StoreKind.Sqlite)]
[TestFixture(StoreKind.Postgres)]
public class SchemaTests(StoreKind kind)
{
    private OtpService service = null!;

    [OneTimeSetUp]
    public async Task StartAsync() => service = await OtpService.StartAsync(kind);

    [OneTimeTearDown]
    public async Task StopAsync() => await service.DisposeAsync();

    [Test]
    public async Task LastTimeStep_Lowered_IsRefused()
    {
        var (_, token) = await service.RegisteredAsync();
        await using var db = service.Services.GetRequiredService<StoreSet>().CreateContext();
        var row = db.Credentials.Where(c => c.CredentialId == CredentialId.Parse(token.CredentialId));
        var last = (await row.AsNoTracking().SingleAsync()).LastTimeStep;

        var refused = await Assert.CatchAsync(() => row.ExecuteUpdateAsync(set => set.SetProperty(c => c.LastTimeStep, last.Plus(-1))));

        Assert.That(refused!.Message, Does.Contain("never lowered"));
        Assert.That((await row.AsNoTracking().SingleAsync()).LastTimeStep, Is.EqualTo(last));
        Assert.That(await row.ExecuteUpdateAsync(set => set.SetProperty(c => c.LastTimeStep, last.Plus(1))), Is.EqualTo(1));
    }

    [Test]
    public async Task Binding_SecondActiveOneOfAContractorOrCredential_IsRefused()
    {
        var (contractor, _) = await service.RegisteredAsync();
        var (other, _) = await service.RegisteredAsync();
        await using var db = service.Services.GetRequiredService<StoreSet>().CreateContext();
        var active = await db.Bindings.AsNoTracking().SingleAsync(b => b.ContractorId == ContractorId.Parse(contractor));
        var rival = await db.Bindings.AsNoTracking().SingleAsync(b => b.ContractorId == ContractorId.Parse(other));

        foreach (var (who, credential) in new[] { (active.ContractorId, rival.CredentialRef), (ContractorId.Parse("somebody-else"), active.CredentialRef) })
        {
            db.ChangeTracker.Clear();
            db.Bindings.Add(new Binding
            {
                InstitutionId = active.InstitutionId,
                ContractorId = who,
                CredentialRef = credential,
                RegisteredAt = active.RegisteredAt,
            });
            var refused = await Assert.ThrowsAsync<DbUpdateException>(() => db.SaveChangesAsync());
            Assert.That(StoreErrors.IsLostRace(refused!), Is.True);
        }
    }

    /// <summary>Claims rest on the epoch alone: whoever changes what they mean by it, also by hand, raises it.</summary>
    [Test]
    public async Task Epoch_BindingEndedOrFailureCountedOrDriftChanged_IsRaised()
    {
        await using var db = service.Services.GetRequiredService<StoreSet>().CreateContext();
        (string Change, Func<Row, Task<int>> Make)[] changes =
        [
            ("suspended", row => row.Bindings(db).ExecuteUpdateAsync(set => set.SetProperty(b => b.State, BindingState.Suspended))),
            ("deleted", row => row.Bindings(db).ExecuteDeleteAsync()),
            ("first failure", row => row.Contractors(db).ExecuteUpdateAsync(set => set.SetProperty(c => c.ConsecutiveFailures, 1))),
            ("locked", row => row.Contractors(db).ExecuteUpdateAsync(set => set.SetProperty(c => c.LockedUntil, service.Clock.GetUtcNow()))),
            ("drift", row => row.Credentials(db).ExecuteUpdateAsync(set => set.SetProperty(c => c.DriftSteps, 1))),
        ];
        foreach (var (change, make) in changes)
        {
            var (row, other) = (await AddRowAsync(db), await AddRowAsync(db));
            var before = (await row.EpochAsync(db), await other.EpochAsync(db));

            Assert.That(await make(row), Is.EqualTo(1), change);

            Assert.That((await row.EpochAsync(db), await other.EpochAsync(db)), Is.EqualTo((before.Item1 + 1, before.Item2)), change);
        }
    }

    [Test]
    public async Task Epoch_FailureOfAContractorWhoIsNewHere_IsRaised()
    {
        await using var db = service.Services.GetRequiredService<StoreSet>().CreateContext();
        var row = await AddRowAsync(db);
        await row.Contractors(db).ExecuteDeleteAsync();
        var before = await row.EpochAsync(db);

        var contractor = new Contractor { InstitutionId = row.Who.Institution, ContractorId = row.Who.Contractor };
        contractor.CountFailure(service.Clock.GetUtcNow(), GuessLimits.Loosest);
        db.Contractors.Add(contractor);
        await db.SaveChangesAsync();

        Assert.That(await row.EpochAsync(db), Is.EqualTo(before + 1));
    }

    /// <summary>Or every guess would make all that are under way begin again.</summary>
    [Test]
    public async Task Epoch_FurtherFailureAndRightOtp_IsAsItWas()
    {
        await using var db = service.Services.GetRequiredService<StoreSet>().CreateContext();
        var row = await AddRowAsync(db);
        await row.Contractors(db).ExecuteUpdateAsync(set => set.SetProperty(c => c.ConsecutiveFailures, 1));
        var before = await row.EpochAsync(db);

        await row.Contractors(db).ExecuteUpdateAsync(set => set.SetProperty(c => c.ConsecutiveFailures, 2));
        await row.Contractors(db).ExecuteUpdateAsync(set => set.SetProperty(c => c.ConsecutiveFailures, 0));
        await row.Credentials(db).ExecuteUpdateAsync(set => set.SetProperty(c => c.LastTimeStep, c => new TimeStep(int.MaxValue)));

        Assert.That(await row.EpochAsync(db), Is.EqualTo(before));
    }

    [Test]
    public async Task Rehearsal_OfTheStart_LeavesNothing()
    {
        await using var db = service.Services.GetRequiredService<StoreSet>().CreateContext();
        Assert.That(await db.Credentials.CountAsync(c => c.Supplier == "rehearsal"), Is.Zero);
        Assert.That(await db.Institutions.CountAsync(), Is.EqualTo(2));
    }

    private async Task<Row> AddRowAsync(OtpDbContext db)
    {
        var (contractor, _) = await service.RegisteredAsync();
        var binding = await db.Bindings.AsNoTracking().SingleAsync(b => b.ContractorId == ContractorId.Parse(contractor));
        return new Row(new ContractorRef(binding.InstitutionId, binding.ContractorId), binding.CredentialRef);
    }

    /// <summary>A registered contractor in the tables.</summary>
    private sealed record Row(ContractorRef Who, long Credential)
    {
        public IQueryable<Binding> Bindings(OtpDbContext db) =>
            db.Bindings.Where(b => b.InstitutionId == Who.Institution && b.ContractorId == Who.Contractor);

        public IQueryable<Contractor> Contractors(OtpDbContext db) =>
            db.Contractors.Where(c => c.InstitutionId == Who.Institution && c.ContractorId == Who.Contractor);

        public IQueryable<Credential> Credentials(OtpDbContext db) => db.Credentials.Where(c => c.Id == Credential);

        public Task<long> EpochAsync(OtpDbContext db) => Credentials(db).Select(c => c.Epoch).SingleAsync();
    }
}
