using System.Text.Json.Nodes;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;
using Npgsql;
using OtpAuthService.Audit;
using OtpAuthService.Hosting;
using OtpAuthService.Storage;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Audit;

/// <summary>Heads of the chains: signed and shipped by whichever replica comes first, and what stands for records that were retired.</summary>
[TestFixture]
public class AuditHeadTests
{
    private string folder = null!;

    private string HeadsFile => Path.Combine(folder, "heads.jsonl");

    [SetUp]
    public void MakeFolder() => folder = Directory.CreateTempSubdirectory("otpauth-heads-").FullName;

    [TearDown]
    public void RemoveFolder() => Directory.Delete(folder, recursive: true);

    [Test]
    public async Task Heads_OfTwoReplicas_AreShippedByBothWithoutAGap()
    {
        using var stores = await StoresUnderTest.CreateAsync(StoreKind.PostgresRedis);
        await using var first = await OtpService.StartAsync(stores, null, Settings(HeadsFile));
        await using var second = await OtpService.StartAsync(stores, first.Clock, Settings(HeadsFile + "2"));
        for (var i = 0; i < 3; i++)
        {
            var (contractor, token) = await first.RegisteredAsync();
            await second.Auth.VerifyAsync(contractor, token.WrongAt(first.Clock.GetUtcNow()));
            var heads = await NewestHeadAsync(first);
            await Eventually.IsTrueAsync(async () => await NewestHeadAsync(first) > heads, "a head is signed", seconds: 10);
        }

        var newest = await NewestHeadAsync(first);
        await Eventually.IsTrueAsync(() => Task.FromResult(Shipped(HeadsFile).Count >= newest && Shipped(HeadsFile + "2").Count >= newest), "both have shipped it", seconds: 10);
        var shipped = Shipped(HeadsFile);
        Assert.That(shipped.Select(h => (long)h["number"]!), Is.EqualTo(Enumerable.Range(1, shipped.Count)));
        Assert.That(
            Shipped(HeadsFile + "2").Take((int)newest).Select(h => (string)h["hash"]!), Is.EqualTo(shipped.Take((int)newest).Select(h => (string)h["hash"]!)));
        Assert.That(first.Errors.All, Does.Contain($"Audit head {newest} "));
        var (_, finding) = await first.VerifyAuditAsync((long)shipped[^1]["number"]!, Convert.FromHexString((string)shipped[^1]["hash"]!));
        Assert.That(finding, Is.Null);
    }

    /// <summary>A crash may cut off the last line; its head is shipped again.</summary>
    [Test]
    public async Task Heads_FileCutOff_GoesOnWithoutAGap()
    {
        using var stores = await StoresUnderTest.CreateAsync(StoreKind.Sqlite);
        await using (var service = await OtpService.StartAsync(stores, null, Settings(HeadsFile)))
        {
            await service.RegisteredAsync();
            await Eventually.IsTrueAsync(() => Task.FromResult(File.Exists(HeadsFile) && Shipped(HeadsFile).Count > 0), "a head is shipped", seconds: 10);
        }

        var content = await File.ReadAllTextAsync(HeadsFile);
        await File.WriteAllTextAsync(HeadsFile, content[..^20]);
        var lost = content.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length;
        await using var again = await OtpService.StartAsync(stores, null, Settings(HeadsFile));
        await Eventually.IsTrueAsync(() => Task.FromResult(Shipped(HeadsFile).Any(h => (long)h["number"]! == lost)), "it is there again", seconds: 10);
    }

    [Test]
    public async Task Records_AlteredWhileItRuns_RaiseTheAlarmOnceAndNoHeadIsSigned()
    {
        await using var service = await OtpService.StartAsync(StoreKind.Sqlite, Settings(HeadsFile));
        await service.RegisteredAsync();
        await Eventually.IsTrueAsync(async () => await NewestHeadAsync(service) > 0, "a head is signed", seconds: 10);
        await service.ExecuteAsync("DELETE FROM audit_trail");
        await Eventually.IsTrueAsync(() => Task.FromResult(service.Errors.Errors.Count > 0), "the alarm", seconds: 10);
        Assert.That(service.Errors.Errors.Single(), Does.StartWith("The audit records are not as they were written: Altered, chain 1"));
        using var http = new HttpClient();
        Assert.That(await http.GetStringAsync($"{service.ManagementAddress}/metrics"), Does.Match("otp_audit_intact{[^}]*} 0"));
    }

    [Test]
    public async Task Database_TakenBackUnderARunningService_RaisesTheAlarm()
    {
        using var stores = await StoresUnderTest.CreateAsync(StoreKind.Sqlite);
        await using (var service = await OtpService.StartAsync(stores, null, Settings(HeadsFile)))
        {
            for (var heads = 1; heads <= 2; heads++)
            {
                await service.RegisteredAsync();
                await Eventually.IsTrueAsync(() => Task.FromResult(Shipped(HeadsFile).Count >= heads), "a head is shipped", seconds: 10);
            }

            await service.ExecuteAsync("DELETE FROM audit_heads");
        }

        await using var again = await OtpService.StartAsync(stores, null, Settings(HeadsFile));
        await Eventually.IsTrueAsync(() => Task.FromResult(again.Errors.Errors.Any(e => e.Contains("RolledBack", StringComparison.Ordinal))), "the alarm", seconds: 10);
    }

    /// <summary>It is then not known whether the last records were written: the chains are left, and others begun.</summary>
    [Test]
    public async Task Connections_CutUnderLoad_LeaveEveryChainWhole()
    {
        await using var service = await OtpService.StartAsync(StoreKind.PostgresRedis);
        var bound = new List<(string Contractor, SoftToken Token)>();
        for (var i = 0; i < 16; i++)
        {
            bound.Add(await service.RegisteredAsync());
        }

        for (var round = 0; round < 6; round++)
        {
            service.Clock.Advance(TimeSpan.FromSeconds(30));
            var calls = bound.Select(b => TryAsync(() => service.Auth.VerifyAsync(b.Contractor, b.Token.At(service.Clock.GetUtcNow())))).ToList();
            await CutAsync(service.Stores.PostgresConnectionString!);
            await Task.WhenAll(calls);
        }

        await Eventually.IsTrueAsync(async () => await TryAsync(() => service.Auth.VerifyAsync(bound[0].Contractor, "000000")), "it decides again", seconds: 10);
        var (records, finding) = await service.VerifyAuditAsync();
        Assert.That(finding, Is.Null);
        Assert.That(records, Is.EqualTo((await service.TracesAsync()).AuditRecords));
    }

    [Test]
    public async Task Months_Retired_AreDroppedAndTheRestHolds()
    {
        var clock = new FakeTimeProvider(DateTimeOffset.Parse("2026-01-10T00:00:05Z", System.Globalization.CultureInfo.InvariantCulture));
        using var stores = await StoresUnderTest.CreateAsync(StoreKind.Postgres);
        await using var service = await OtpService.StartAsync(stores, clock);
        await service.ExecuteAsync($"SELECT ensure_audit_partitions({clock.GetUtcNow().ToUnixTimeMilliseconds()})");
        var (contractor, token) = await service.RegisteredAsync();
        clock.Advance(TimeSpan.FromDays(30));
        await service.Auth.VerifyAsync(contractor, token.At(clock.GetUtcNow()));
        Assert.That((await service.VerifyAuditAsync()).Finding, Is.Null);
        clock.Advance(TimeSpan.FromDays(30));
        await service.Auth.VerifyAsync(contractor, token.At(clock.GetUtcNow()));
        var before = (await service.TracesAsync()).AuditRecords;

        Assert.That(await RetireAsync(service, "2026-02"), Does.Contain("audit_trail_2026_01"));

        var after = (await service.TracesAsync()).AuditRecords;
        Assert.That(after, Is.EqualTo(before - 2), "issued and registered in January");
        Assert.That((await service.VerifyAuditAsync()).Finding, Is.Null);
        await service.Auth.VerifyAsync(contractor, token.At(clock.GetUtcNow(), 1));
        Assert.That((await service.VerifyAuditAsync()).Finding, Is.Null);
        Assert.That(await RetireAsync(service, "2026-02"), Does.Contain("nothing to drop"));

        await service.ExecuteAsync("DELETE FROM audit_trail WHERE decided_at < 1772323200000; UPDATE audit_chains SET retired_position = retired_position + 1 WHERE retired_position > 0");
        Assert.That((await service.VerifyAuditAsync()).Finding, Is.Not.Null, "nobody but the command retires");
    }

    [TestCase("2026-13")]
    [TestCase("2099-01")]
    [TestCase("")]
    public async Task Months_ThatMakeNoSense_AreRefused(string month)
    {
        await using var service = await OtpService.StartAsync(StoreKind.Postgres);
        await Assert.ThrowsAsync<StartRefusedException>(() => RetireAsync(service, month));
    }

    [Test]
    public async Task Months_WithAnAlteredRecord_AreKept()
    {
        await using var service = await OtpService.StartAsync(StoreKind.Postgres);
        await service.RegisteredAsync();
        await service.VerifyAuditAsync();
        await service.ExecuteAsync("UPDATE audit_trail SET caller_id = 'another' WHERE position = 1");
        var refused = await Assert.ThrowsAsync<StartRefusedException>(() => RetireAsync(service, "2026-01"));
        Assert.That(refused!.Message, Does.Contain("Nothing was dropped").And.Contain("position 1"));
    }

    private static string[] Settings(string file) => ["--OtpAuth:AuditHeadInterval=00:00:01", $"--OtpAuth:AuditHeadsFile={file}"];

    private static async Task<string> RetireAsync(OtpService service, string before)
    {
        var output = new StringWriter();
        await service.Services.GetRequiredService<AuditRetirement>().RunAsync(before, output, CancellationToken.None);
        return output.ToString();
    }

    private static async Task<long> NewestHeadAsync(OtpService service)
    {
        await using var db = service.Services.GetRequiredService<StoreSet>().CreateContext();
        return await db.AuditHeads.MaxAsync(h => (long?)h.Number) ?? 0;
    }

    private static List<JsonNode> Shipped(string file)
    {
        var heads = new List<JsonNode>();
        foreach (var line in File.Exists(file) ? File.ReadAllLines(file) : [])
        {
            try
            {
                heads.Add(JsonNode.Parse(line)!);
            }
            catch (System.Text.Json.JsonException)
            {
                // Cut off.
            }
        }

        return heads;
    }

    private static async Task<bool> TryAsync(Func<Grpc.Core.AsyncUnaryCall<VerifyResponse>> call)
    {
        try
        {
            await call();
            return true;
        }
        catch (Grpc.Core.RpcException)
        {
            return false;
        }
    }

    private static async Task CutAsync(string connectionString)
    {
        var database = new NpgsqlConnectionStringBuilder(connectionString).Database;
        await using var source = NpgsqlDataSource.Create(connectionString + ";Pooling=false");
        await using var cut = source.CreateCommand(
            $"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}' AND pid <> pg_backend_pid()");
        await cut.ExecuteNonQueryAsync();
    }
}
