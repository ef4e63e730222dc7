using System.Text.Json.Nodes;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using OtpAuthService.Storage;
using OtpAuthService.Tests.Fixtures;

namespace OtpAuthService.Tests;

/// <summary>Auditors read and check the records from the command line.</summary>
public sealed class OtpCtlAuditTests
{
    private OtpService service = null!;
    private string contractor = null!;
    private string heads = null!;

    [SetUp]
    public async Task StartAsync()
    {
        var stores = await StoresUnderTest.CreateAsync(StoreKind.Sqlite);
        heads = Path.Combine(Path.GetDirectoryName(stores.DatabaseFile)!, "heads.jsonl");
        service = await OtpService.StartAsync(stores, null, $"--OtpAuth:AuditHeadsFile={heads}", "--OtpAuth:AuditHeadInterval=00:00:01");
        contractor = (await service.RegisteredAsync()).Contractor;
        await OtpCtlAsync("binding", "bypass", "--contractor", contractor, "--never", "--reason", "=asked, at the counter", "--operator", "h.sato", "--apply");
    }

    [TearDown]
    public async Task StopAsync()
    {
        await service.DisposeAsync();
        service.Stores.Dispose();
    }

    [Test]
    public async Task Query_OfAContractor_PrintsALineForEachAct()
    {
        var result = await OtpCtlAsync(["audit", "query", "--contractor", contractor, .. Today]);

        Assert.That(result.ExitCode, Is.Zero, result.Errors);
        var lines = result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.That(lines, Has.Length.EqualTo(2));
        Assert.That(lines.Single(line => line.Contains("  Register  ")), Does.Contain($"  {contractor}  ").And.Contains("  PC_BROWSER  ").And.Contains("  ACCEPTED  "));
        Assert.That(lines.Single(line => line.Contains("  SetBypassOptOut  ")), Does.Contain("  h.sato  ").And.EndsWith("  =asked, at the counter"));
    }

    [Test]
    public async Task Query_WithFilters_PrintsOnlyWhatMatches()
    {
        var byRpc = await OtpCtlAsync(["audit", "query", "--rpc", "SetBypassOptOut", "--json", .. Today]);
        var requestId = (string)Json(byRpc.Output)["request_id"]!;

        using (Assert.EnterMultipleScope())
        {
            Assert.That((string)Json(byRpc.Output)["operator_id"]!, Is.EqualTo("h.sato"));
            Assert.That(await RpcsAsync("--request", requestId), Is.EqualTo(["SetBypassOptOut"]));
            Assert.That(await RpcsAsync("--contractor", contractor, "--outcome", "accepted", "--rpc", "Register"), Is.EqualTo(["Register"]));
            Assert.That(await RpcsAsync("--outcome", "locked-out"), Is.Empty);
            Assert.That(await RpcsAsync("--caller", "nobody"), Is.Empty);
            Assert.That(await RpcsAsync("--credential", "ZZZZ00000000"), Is.Empty);
            Assert.That(await RpcsAsync("--limit", "1"), Has.Length.EqualTo(1));
        }

        var past = await OtpCtlAsync("audit", "query", "--since", "2020-01-01", "--until", "2020-01-02");
        Assert.That((past.ExitCode, past.Output), Is.EqualTo((0, "")), past.Errors);
    }

    [Test]
    public async Task Query_AsCsv_IsHarmlessInASpreadsheet()
    {
        var result = await OtpCtlAsync(["audit", "query", "--rpc", "SetBypassOptOut", "--csv", .. Today]);

        var rows = result.Output.Split("\r\n");
        Assert.That(rows[0], Does.StartWith("chain_id,position,decided_at,rpc,caller_id,operator_id,"));
        Assert.That(rows[1], Does.Contain($",{contractor},").And.Contain(",\"'=asked, at the counter\","));
        Assert.That(rows[2..], Is.EqualTo([""]));
    }

    [Test]
    public async Task Verify_OfRecordsAsTheyWereWritten_SaysSo()
    {
        await HeadsAreShippedAsync();

        var without = await OtpCtlAsync("audit", "verify");
        var with = await OtpCtlAsync("audit", "verify", "--heads", heads);

        using (Assert.EnterMultipleScope())
        {
            Assert.That(without.ExitCode, Is.Zero, without.Output + without.Errors);
            Assert.That(without.Errors, Is.EqualTo("otpctl: without --heads, a rollback of the whole database goes unseen.\n"));
            Assert.That(with.ExitCode, Is.Zero, with.Output + with.Errors);
            Assert.That(with.Errors, Is.Empty);
            Assert.That(with.Output, Does.Match(@"\A[1-9][0-9]* records and [1-9][0-9]* heads are as they were written\.\n\z"));
        }
    }

    [Test]
    public async Task Verify_OfAnAlteredRecord_Exits5AndNamesIt()
    {
        await service.Services.GetRequiredService<OtpStore>().WriteAsync(
            (db, stop) => db.Database.ExecuteSqlRawAsync("UPDATE audit_trail SET reason = 'forged' WHERE rpc = 'SetBypassOptOut'", stop), CancellationToken.None);

        var result = await OtpCtlAsync("audit", "verify");
        var json = await OtpCtlAsync("audit", "verify", "--json");

        Assert.That(result.ExitCode, Is.EqualTo(5), result.Output + result.Errors);
        Assert.That(result.Output, Does.Match(@"\AALTERED, chain [1-9][0-9]*, position [1-9][0-9]*: .+\.\n\z"));
        Assert.That((json.ExitCode, (string)Json(json.Output)["finding"]!["kind"]!), Is.EqualTo((5, "AUDIT_FINDING_KIND_ALTERED")));
    }

    [Test]
    public async Task Verify_AgainstAHeadThatTheDatabaseLacks_Exits5()
    {
        await HeadsAreShippedAsync();
        var ahead = heads + ".ahead";
        await File.WriteAllTextAsync(ahead, await File.ReadAllTextAsync(heads) + $$"""{"number":1000000,"hash":"{{new string('a', 64)}}"}""" + "\n{\"numb");

        var result = await OtpCtlAsync("audit", "verify", "--heads", ahead);

        Assert.That(result.ExitCode, Is.EqualTo(5), result.Output + result.Errors);
        Assert.That(result.Output, Does.StartWith("ROLLED_BACK, head 1000000: "));
        Assert.That(result.Errors, Does.Contain("is not a head, cut off perhaps: skipped.\n"));
    }

    // The service has the test's clock.
    private string[] Today => ["--until", service.Clock.GetUtcNow().AddMinutes(1).ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", System.Globalization.CultureInfo.InvariantCulture)];

    private static JsonObject Json(string line) => JsonNode.Parse(line)!.AsObject();

    private Task HeadsAreShippedAsync() => Eventually.IsTrueAsync(() => Task.FromResult(File.Exists(heads)), "a head is shipped");

    private async Task<string[]> RpcsAsync(params string[] filters)
    {
        var result = await OtpCtlAsync(["audit", "query", "--json", .. filters, .. Today]);
        Assert.That(result.ExitCode, Is.Zero, result.Errors);
        return [.. result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => (string)Json(line)["rpc"]!)];
    }

    private Task<OtpCtlProcess.Result> OtpCtlAsync(params string[] args) => OtpCtlProcess.RunAsync([.. args, "--address", service.Address]);
}
