using System.Text.Json.Nodes;
using OtpAuthService.Tests.Credentials;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests;

/// <summary>Until when a supplier's credentials are taken is set from the command line, one date at a time.</summary>
public sealed class OtpCtlSupplierTests
{
    private OtpService service = null!;

    [SetUp]
    public async Task StartAsync()
    {
        service = await OtpService.StartAsync(StoreKind.Sqlite);
        await service.Operations.ImportPskcAsync(PskcFiles.WithPlainKeys(("ABCD00000001", new byte[20]), ("ABCD00000002", new byte[20])), supplier: "トークン株式会社");
    }

    [TearDown]
    public async Task StopAsync() => await service.DisposeAsync();

    [Test]
    public async Task List_WithoutDates_HasEachWithItsCredentials()
    {
        var list = await OtpCtlAsync("supplier", "list");
        var json = JsonNode.Parse((await OtpCtlAsync("supplier", "list", "--json")).Output)!["suppliers"]!.AsArray();

        Assert.That(list.ExitCode, Is.Zero, list.Errors);
        Assert.That(list.Output, Is.EqualTo("suppliers[0].name: issued\nsuppliers[0].credentials: 1\nsuppliers[1].name: トークン株式会社\nsuppliers[1].credentials: 2\n"));
        Assert.That(json.Select(supplier => (string)supplier!["name"]!), Is.EqualTo(new[] { "issued", "トークン株式会社" }));
    }

    [Test]
    public async Task Set_OneDate_LeavesTheOther()
    {
        Assert.That(await DatesAfterAsync("--no-registration-from", "2039-01-01T00:00Z"), Is.EqualTo(("2039-01-01T00:00:00Z", (string?)null)));
        Assert.That(await DatesAfterAsync("--verify-until", "2040-01-01T09:00+09:00"), Is.EqualTo(("2039-01-01T00:00:00Z", "2040-01-01T00:00:00Z")));
        Assert.That(await DatesAfterAsync("--no-registration-from", "never"), Is.EqualTo(((string?)null, "2040-01-01T00:00:00Z")));
        Assert.That(await DatesAfterAsync("--verify-until", "never"), Is.EqualTo(((string?)null, (string?)null)));
    }

    [Test]
    public async Task Set_WithoutApply_ShowsWhatChangesAndWhatDoesNot()
    {
        await DatesAfterAsync("--no-registration-from", "2039-01-01T00:00Z", "--verify-until", "2040-01-01T00:00Z");

        var dry = await SetAsync("--verify-until", "never");
        var json = JsonNode.Parse((await SetAsync("--verify-until", "never", "--json")).Output)!;

        Assert.That(dry.Output, Is.EqualTo(
            """
            now.name: トークン株式会社
            now.no_registration_from: 2039-01-01T00:00:00.000Z
            now.verify_until: 2040-01-01T00:00:00.000Z
            now.credentials: 2
            change.verify_until: 2040-01-01T00:00:00.000Z → -
            rpc: SetSupplier
            request.institution_id: demo
            request.reason: a test
            applied: false

            """));
        Assert.That(json["changes"]!.ToJsonString(), Is.EqualTo("""[{"field":"verify_until","from":"2040-01-01T00:00:00.000Z","to":"-"}]"""));
        Assert.That((string?)json["request"]!["supplier"]!["no_registration_from"], Is.EqualTo("2039-01-01T00:00:00Z"), "what is not named is sent as it is");
    }

    /// <summary>The dates hold: what the dry run said is what the service does.</summary>
    [Test]
    public async Task Set_InThePast_EndsTheSupplier()
    {
        await service.Operations.IssueAsync();
        var token = await service.Operations.IssueAsync();

        var ended = await OtpCtlAsync("supplier", "set", "--name", "issued", "--no-registration-from", "2020-01-01", "--reason", "a test", "--apply");

        Assert.That(ended.ExitCode, Is.Zero, ended.Errors);
        Assert.That(
            (await service.Auth.RegisterAsync(Calls.NewContractor(), token.CredentialId, token.At(service.Clock.GetUtcNow()))).Outcome,
            Is.EqualTo(Outcome.CredentialUnusable));
    }

    private Task<OtpCtlProcess.Result> SetAsync(params string[] dates) => OtpCtlAsync(["supplier", "set", "--name", "トークン株式会社", "--reason", "a test", .. dates]);

    private async Task<(string? NoRegistrationFrom, string? VerifyUntil)> DatesAfterAsync(params string[] dates)
    {
        var set = await SetAsync([.. dates, "--apply"]);
        Assert.That(set.ExitCode, Is.Zero, set.Errors);
        var shown = JsonNode.Parse((await OtpCtlAsync("supplier", "list", "--json")).Output)!["suppliers"]![1]!;
        return ((string?)shown["no_registration_from"], (string?)shown["verify_until"]);
    }

    private Task<OtpCtlProcess.Result> OtpCtlAsync(params string[] args) => OtpCtlProcess.RunAsync([.. args, "--address", service.Address]);
}
