using System.Security.Cryptography;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using OtpAuthService.Audit;
using OtpAuthService.Storage;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Audit;

/// <summary>Whoever can write to the tables changes what was written; VerifyAudit has to name the first record that is not as it was.</summary>
[TestFixture(StoreKind.Sqlite)]
[TestFixture(StoreKind.Postgres)]
public class AuditVerificationTests(StoreKind kind)
{
    private OtpService service = null!;
    private string contractor = null!;
    private SoftToken token = null!;

    [SetUp]
    public async Task StartAsync()
    {
        service = await OtpService.StartAsync(kind);
        (contractor, token) = await service.RegisteredAsync();
        for (var i = 0; i < 10; i++)
        {
            await service.Auth.VerifyAsync(contractor, token.At(service.Clock.GetUtcNow()));
            service.Clock.Advance(TimeSpan.FromSeconds(30));
        }

        Assert.That((await VerifyAsync()).Finding, Is.Null);
    }

    [TearDown]
    public async Task StopAsync() => await service.DisposeAsync();

    [Test]
    public async Task Records_AsTheyWereWritten_AreAllLookedAt()
    {
        var (records, finding) = await VerifyAsync();
        Assert.That(finding, Is.Null);
        Assert.That(records, Is.EqualTo((await service.TracesAsync()).AuditRecords));
    }

    [TestCase("outcome = 3")]
    [TestCase("decided_at = decided_at + 1")]
    [TestCase("contractor_id = 'C-9999'")]
    [TestCase("contractor_id = NULL")]
    [TestCase("caller_id = 'another'")]
    [TestCase("operator_id = 'another'")]
    [TestCase("request_id = request_id || 'x'")]
    [TestCase("institution_id = 'minato'")]
    [TestCase("credential_ref = 77")]
    [TestCase("time_step = time_step - 1")]
    [TestCase("decision = 2")]
    [TestCase("reason = 'none'")]
    [TestCase("policy_version = 2")]
    [TestCase("channel = 2")]
    [TestCase("purpose = 2")]
    [TestCase("rpc = 'Suspend'")]
    [TestCase("hash = (SELECT hash FROM audit_trail WHERE position = 4)")]
    public async Task Record_Altered_IsNamed(string change)
    {
        await ExecuteAsync($"UPDATE audit_trail SET {change} WHERE position = 5");
        await ExpectAsync(AuditFindingKind.Altered, 5);
    }

    [Test]
    public async Task Record_Removed_IsNamed()
    {
        await ExecuteAsync("DELETE FROM audit_trail WHERE position = 5");
        await ExpectAsync(AuditFindingKind.Removed, 5);
    }

    [Test]
    public async Task Record_Inserted_IsNamed()
    {
        await ExecuteAsync("UPDATE audit_trail SET position = -position - 1 WHERE position >= 5");
        await ExecuteAsync("UPDATE audit_trail SET position = -position WHERE position < 0");
        await CopyAsync(from: 4, to: 5);
        await ExpectAsync(AuditFindingKind.Inserted, 5);
    }

    [Test]
    public async Task Record_InASecondPlaceOfTheSameNumber_IsNamed()
    {
        await CopyAsync(from: 5, to: 5);
        await ExpectAsync(AuditFindingKind.Inserted, 5);
    }

    [Test]
    public async Task Record_OfAChainThatNeverWas_IsNamed([Values(-1, 0, 77)] int chain)
    {
        await CopyAsync(from: 1, to: 1, chain);
        var (_, finding) = await VerifyAsync();
        Assert.That((finding?.Kind, finding?.ChainId), Is.EqualTo((AuditFindingKind.Inserted, chain)));
    }

    [Test]
    public async Task Records_ThatChangedPlaces_AreNamed()
    {
        await ExecuteAsync("UPDATE audit_trail SET position = -position WHERE position IN (5, 6)");
        await ExecuteAsync("UPDATE audit_trail SET position = 11 + position WHERE position < 0");
        await ExpectAsync(AuditFindingKind.Reordered, 5);
    }

    [Test]
    public async Task Records_CutOffAtTheEnd_AreNamed()
    {
        await ExecuteAsync("DELETE FROM audit_trail WHERE position >= 9");
        await ExpectAsync(AuditFindingKind.Truncated, 9);
    }

    [Test]
    public async Task Records_AllOfThemGone_AreNamed()
    {
        await ExecuteAsync("DELETE FROM audit_trail");
        await ExpectAsync(AuditFindingKind.Truncated, 1);
    }

    [Test]
    public async Task Chain_GoneWithItsRow_IsNamed()
    {
        await ExecuteAsync("DELETE FROM audit_trail");
        await ExecuteAsync("DELETE FROM audit_chains");
        await ExpectAsync(AuditFindingKind.Removed, 1);
    }

    /// <summary>Whoever knows how hashes are made makes them anew to the end: the signed head stands against it.</summary>
    [Test]
    public async Task Record_AlteredWithAllHashesBehindItMadeAnew_IsFound()
    {
        await using (var db = CreateContext())
        {
            await ExecuteAsync("UPDATE audit_trail SET outcome = 3 WHERE position = 5");
            var end = new ChainLink(4, (await db.AuditRecords.AsNoTracking().SingleAsync(r => r.Position == 4)).Hash);
            foreach (var record in await db.AuditRecords.AsNoTracking().Where(r => r.Position > 4).OrderBy(r => r.Position).ToListAsync())
            {
                end = end.Next(AuditContent.Digest(record));
                await db.AuditRecords.Where(r => r.Position == record.Position).ExecuteUpdateAsync(row => row.SetProperty(r => r.Hash, end.Hash));
            }
        }

        await ExpectAsync(AuditFindingKind.Altered, (await service.TracesAsync()).AuditRecords);
    }

    [TestCase("UPDATE audit_heads SET content = replace(content, '\"position\":', '\"position\":1') WHERE number = 1", 1)]
    [TestCase("DELETE FROM audit_heads WHERE number = 1", 1)]
    [TestCase("UPDATE audit_heads SET hash = signature WHERE number = 2", 2)]
    public async Task Head_Forged_IsNamed(string change, int head)
    {
        await service.Auth.VerifyAsync(contractor, token.At(service.Clock.GetUtcNow()));
        await VerifyAsync();
        await service.Auth.VerifyAsync(contractor, token.At(service.Clock.GetUtcNow()));
        await VerifyAsync();
        await ExecuteAsync(change);
        var (_, finding) = await VerifyAsync();
        Assert.That((finding?.Kind, finding?.HeadNumber), Is.EqualTo((AuditFindingKind.HeadForged, (long)head)));
    }

    /// <summary>Records, chains and heads all made anew, and signed with another key.</summary>
    [Test]
    public async Task Head_SignedByAnotherKey_IsFound()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        await using var db = CreateContext();
        var newest = await db.AuditHeads.AsNoTracking().OrderByDescending(h => h.Number).FirstAsync();
        var signature = key.SignData(System.Text.Encoding.UTF8.GetBytes(newest.Content), HashAlgorithmName.SHA256);
        await ExecuteAsync("DELETE FROM audit_trail WHERE position = 12");
        await db.AuditHeads.Where(h => h.Number == newest.Number).ExecuteUpdateAsync(
            row => row.SetProperty(h => h.Signature, signature).SetProperty(h => h.PublicKey, key.ExportSubjectPublicKeyInfo()));
        var (_, finding) = await VerifyAsync();
        Assert.That(finding?.Kind, Is.EqualTo(AuditFindingKind.HeadForged));
    }

    /// <summary>A backup that was put back is as consistent as the original: only what left the database tells.</summary>
    [Test]
    public async Task Database_TakenBack_IsFoundByAShippedHead()
    {
        await using var db = CreateContext();
        var before = await db.AuditHeads.MaxAsync(h => h.Number);
        var records = (await service.TracesAsync()).AuditRecords;
        await service.Auth.VerifyAsync(contractor, token.At(service.Clock.GetUtcNow()));
        await VerifyAsync();
        var shipped = await db.AuditHeads.AsNoTracking().OrderByDescending(h => h.Number).FirstAsync();

        await ExecuteAsync($"DELETE FROM audit_heads WHERE number > {before}");
        await ExecuteAsync($"DELETE FROM audit_trail WHERE position > {records}");

        Assert.That((await VerifyAsync(shipped)).Finding?.Kind, Is.EqualTo(AuditFindingKind.RolledBack));
        Assert.That((await VerifyAsync()).Finding, Is.Null);
    }

    /// <summary>A head is never signed on top of something that was altered, which would then be vouched for.</summary>
    [Test]
    public async Task Head_OnTopOfAlteredRecords_IsNotSigned()
    {
        await using var db = CreateContext();
        var before = await db.AuditHeads.CountAsync();
        await ExecuteAsync("DELETE FROM audit_trail WHERE position >= 9");
        Assert.That(await service.Services.GetRequiredService<AuditHeads>().SignAsync(CancellationToken.None), Is.Not.Null);
        Assert.That(await db.AuditHeads.CountAsync(), Is.EqualTo(before));
    }

    /// <summary>An unused chain is closed; whoever adds to it after that is found.</summary>
    [Test]
    public async Task Chain_Closed_GoesNoFurther()
    {
        service.Clock.Advance(TimeSpan.FromHours(2));
        await service.Auth.VerifyAsync(contractor, token.At(service.Clock.GetUtcNow()));
        Assert.That((await VerifyAsync()).Finding, Is.Null);
        await using var db = CreateContext();
        var chains = await db.AuditChains.AsNoTracking().OrderBy(c => c.Id).ToListAsync();
        Assert.That(chains.Select(c => c.ClosedByHead is not null), Is.EqualTo(new[] { true, false }));

        var last = (long)chains[0].ClosedPosition!;
        var forged = await db.AuditRecords.AsNoTracking().SingleAsync(r => r.ChainId == chains[0].Id && r.Position == last);
        await CopyAsync(from: last, to: last + 1);
        var copy = await db.AuditRecords.AsNoTracking().SingleAsync(r => r.ChainId == chains[0].Id && r.Position == last + 1);
        var hash = ChainLink.HashAfter(forged.Hash, AuditContent.Digest(copy));
        await db.AuditRecords.Where(r => r.ChainId == chains[0].Id && r.Position == last + 1).ExecuteUpdateAsync(row => row.SetProperty(r => r.Hash, hash));

        await ExpectAsync(AuditFindingKind.Inserted, last + 1);
        await ExecuteAsync($"DELETE FROM audit_trail WHERE chain_id = {chains[0].Id} AND position > {last}");
        await ExecuteAsync($"UPDATE audit_chains SET closed_position = closed_position - 1 WHERE id = {chains[0].Id}");
        Assert.That((await VerifyAsync()).Finding?.Kind, Is.EqualTo(AuditFindingKind.HeadForged));
    }

    private async Task ExpectAsync(AuditFindingKind expected, long position)
    {
        var (_, finding) = await VerifyAsync();
        Assert.That((finding?.Kind, finding?.ChainId, finding?.Position), Is.EqualTo((expected, 1, position)));
        Assert.That(finding!.Detail, Is.Not.Empty);
    }

    private Task<(long Records, AuditFinding? Finding)> VerifyAsync(AuditHead? shipped = null) => service.VerifyAuditAsync(shipped?.Number ?? 0, shipped?.Hash);

    private Task CopyAsync(long from, long to, int chain = 1) => ExecuteAsync(
        $"""
         INSERT INTO audit_trail (chain_id, position, hash, {AuditContent.Columns})
         SELECT {chain}, {to}, hash, {AuditContent.Columns.Replace("decided_at", "decided_at + 1", StringComparison.Ordinal)}
         FROM audit_trail WHERE chain_id = 1 AND position = {from}
         """);

    private Task ExecuteAsync(string sql) => service.ExecuteAsync(sql);

    private OtpDbContext CreateContext() => service.Services.GetRequiredService<StoreSet>().CreateContext();
}
