using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.EntityFrameworkCore.Migrations;
using OtpAuthService.Credentials;
using OtpAuthService.Institutions;
using OtpAuthService.Storage;
using OtpAuthService.Tests.Fixtures;

namespace OtpAuthService.Tests.Credentials;

[TestFixture(StoreKind.Sqlite)]
[TestFixture(StoreKind.Postgres)]
public class SupplierMigrationTests(StoreKind kind)
{
    private const string VersionBefore = "Events";

    [Test]
    public async Task DatesThatHeldEverywhere_Migrated_AreThoseOfEveryInstitution()
    {
        using var stores = await StoresUnderTest.CreateAsync(kind);
        Directory.CreateDirectory(Path.GetDirectoryName(stores.DatabaseFile)!);
        using var store = kind == StoreKind.Sqlite ? StoreSet.Sqlite(stores.DatabaseFile) : StoreSet.Postgres(stores.PostgresConnectionString!);
        await using var db = store.CreateContext();
        var migrator = db.GetService<IMigrator>();
        await migrator.MigrateAsync(VersionBefore);
        await AddInstitutionAsync("demo");
        await AddInstitutionAsync("minato");
        await db.Database.ExecuteSqlRawAsync(
            """
            INSERT INTO supplier_dates (supplier, no_registration_from, verify_until, caller_id, reason, set_at)
            VALUES ('acme', 1000, NULL, 'ops', 'first', 1), ('acme', NULL, 2000, 'ops', 'second', 2), ('vip', 3000, NULL, 'ops', 'third', 3)
            """);

        await migrator.MigrateAsync();

        await AddInstitutionAsync("later");
        foreach (var institution in (string[])["demo", "minato"])
        {
            var inForce = await Suppliers.InForce(db, InstitutionId.Parse(institution)).OrderBy(d => d.Supplier).ToListAsync();
            Assert.That(
                inForce.Select(d => (d.Supplier, d.NoRegistrationFrom?.ToUnixTimeMilliseconds(), d.VerifyUntil?.ToUnixTimeMilliseconds(), d.Reason)),
                Is.EqualTo(new[] { ("acme", (long?)null, (long?)2000, "second"), ("vip", 3000, null, "third") }),
                institution);
        }

        Assert.That(await Suppliers.InForce(db, InstitutionId.Parse("later")).AnyAsync(), Is.False);
        Assert.That(await db.SupplierDates.CountAsync(), Is.EqualTo(6), "with their history");
        await migrator.MigrateAsync(VersionBefore);
        await migrator.MigrateAsync();

        async Task AddInstitutionAsync(string id)
        {
            db.Institutions.Add(new Institution { Id = InstitutionId.Parse(id), DisplayName = id, CreatedAt = DateTimeOffset.UnixEpoch });
            await db.SaveChangesAsync();
        }
    }
}
