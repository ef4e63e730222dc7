using System.Text.Json.Nodes;
using OtpAuthService.Tests.Fixtures;

namespace OtpAuthService.Tests;

/// <summary>The schema brought up to date without a service, as the role that owns it.</summary>
[System.Runtime.Versioning.UnsupportedOSPlatform("windows")]
public sealed class OtpCtlMigrateTests
{
    private const string Variable = "ConnectionStrings__Postgres";

    private string database = null!;

    [SetUp]
    public async Task CreateAsync() => database = await (await SharedServers.Postgres).CreateDatabaseAsync();

    [Test]
    public async Task Migrate_OfAnEmptyDatabase_ShowsThenDoesThenHasNothingToDo()
    {
        var dry = await MigrateAsync();
        Assert.That(await PostgresServer.ReadAsync(database, "SELECT coalesce(to_regclass('credentials')::text, 'none')"), Is.EqualTo("none"), "a dry run makes no table");
        var applied = await MigrateAsync("--apply");
        var again = await MigrateAsync("--apply");

        Assert.That((bool)Json(dry)["applied"]!, Is.False);
        Assert.That((string)Json(dry)["schema_before"]!, Is.EqualTo("empty"));
        Assert.That(Migrations(dry), Is.Not.Empty.And.EqualTo(Migrations(applied)));
        Assert.That((bool)Json(applied)["applied"]!, Is.True);
        Assert.That(Migrations(again), Is.Empty);
        Assert.That((string)Json(again)["schema_before"]!, Is.EqualTo(Migrations(applied)[^1]));
        Assert.That(dry.Errors, Is.EqualTo("otpctl: dry run, nothing was changed. Add --apply to do it.\n"));
        Assert.That(applied.Errors, Is.Empty);
    }

    [Test]
    public async Task Migrate_OfANewerSchema_TouchesNothing()
    {
        await MigrateAsync("--apply");
        await PostgresServer.ExecuteAsync(database, """INSERT INTO "__EFMigrationsHistory" VALUES ('20990101000000_Later', '10')""");

        var result = await MigrateAsync("--apply");

        Assert.That((result.ExitCode, result.Output), Is.EqualTo((3, "")));
        Assert.That(result.Errors, Does.Contain("the schema is newer than this program, which does not know 20990101000000_Later: nothing was done"));
    }

    [Test]
    public async Task Migrate_AsARoleWithoutRights_IsRefused()
    {
        var role = $"r{Guid.NewGuid():N}";
        await PostgresServer.ExecuteAsync(database, $"CREATE ROLE {role} LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC");

        var result = await OtpCtlProcess.RunAsync("", ["migrate", "--apply"], (Variable, PostgresServer.As(database, role)));

        Assert.That((result.ExitCode, result.Output), Is.EqualTo((3, "")));
        Assert.That(result.Errors, Does.StartWith("otpctl: PostgreSQL: ").And.Contains("permission denied").And.Contains("deploy/make-roles.sql"));
    }

    [Test]
    public async Task Migrate_WhereNobodyAnswers_SaysSo()
    {
        var result = await OtpCtlProcess.RunAsync("", ["migrate"], (Variable, $"Host=127.0.0.1;Port={Loopback.FreePort()};Username=otp;Database=otp"));

        Assert.That((result.ExitCode, result.Output), Is.EqualTo((4, "")));
        Assert.That(result.Errors, Does.StartWith("otpctl: PostgreSQL: ").And.Not.Contains("   at "));
    }

    [Test]
    public async Task Migrate_FromASecretFile_ConnectsAsTheServiceDoes()
    {
        var file = Path.GetTempFileName();
        await File.WriteAllTextAsync(file, database + "\n");
        File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite);

        var result = await OtpCtlProcess.RunAsync("", ["migrate", "--json"], ($"{Variable}_FILE", file));

        File.Delete(file);
        Assert.That(result.ExitCode, Is.Zero, result.Errors);
        Assert.That(Migrations(result), Is.Not.Empty);
    }

    [Test]
    public async Task Migrations_ByTwoAtOnce_AreDoneByOne()
    {
        var results = await Task.WhenAll(MigrateAsync("--apply"), MigrateAsync("--apply"));

        Assert.That(results.Select(result => result.ExitCode), Is.All.Zero, string.Concat(results.Select(result => result.Errors)));
        Assert.That(results.Select(result => Migrations(result).Length == 0), Is.EquivalentTo([true, false]));
    }

    private Task<OtpCtlProcess.Result> MigrateAsync(params string[] options) => OtpCtlProcess.RunAsync("", ["migrate", "--json", .. options], (Variable, database));

    private static JsonNode Json(OtpCtlProcess.Result result) => JsonNode.Parse(result.Output)!;

    private static string[] Migrations(OtpCtlProcess.Result result) => [.. Json(result)["migrations"]!.AsArray().Select(migration => (string)migration!)];
}
