using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using OtpAuthService.Bindings;
using OtpAuthService.Credentials;
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

    [Test]
    public async Task Rehearsal_OfTheStart_LeavesNothing()
    {
        await using var db = service.Services.GetRequiredService<StoreSet>().CreateContext();
        Assert.That(await db.Credentials.CountAsync(c => c.Supplier == "rehearsal"), Is.Zero);
        Assert.That(await db.Institutions.CountAsync(), Is.EqualTo(2));
    }
}
