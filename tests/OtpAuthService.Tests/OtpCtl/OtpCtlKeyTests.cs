using System.Security.Cryptography;
using System.Text.Json.Nodes;
using OtpAuthService.Tests.Fixtures;

namespace OtpAuthService.Tests;

/// <summary>Keys are rotated from the command line, and it says how far they are.</summary>
public sealed class OtpCtlKeyTests
{
    private OtpService service = null!;

    [SetUp]
    public async Task StartAsync()
    {
        service = await OtpService.StartAsync(StoreKind.Sqlite);
        // Beside the demo credential of a first start.
        await service.Operations.IssueAsync();
    }

    [TearDown]
    public async Task StopAsync() => await service.DisposeAsync();

    [Test]
    public async Task DataKey_Rotated_IsWatchedUntilEveryCredentialIsUnderTheNewOne()
    {
        var before = Json((await OtpCtlAsync("key", "status", "--json")).Output);
        var rotated = await OtpCtlAsync("key", "rotate", "--kind", "data-key", "--reason", "yearly", "--apply");
        var watched = await OtpCtlAsync("key", "status", "--watch");
        var after = Json((await OtpCtlAsync("key", "status", "--watch", "--json")).Output);

        using (Assert.EnterMultipleScope())
        {
            Assert.That((rotated.ExitCode, watched.ExitCode), Is.EqualTo((0, 0)), rotated.Errors + watched.Errors);
            Assert.That(rotated.Output, Does.Match(@"\Adecided_at: \S+Z\nrepeated: false\n\z"));
            Assert.That(watched.Output.Split('\n')[^2], Is.EqualTo("2 of 2 credentials are wrapped under the newest data key."));
            Assert.That(watched.Output.Split('\n'), Is.Unique, "one line per change");
            Assert.That(Version(after), Is.GreaterThan(Version(before)));
            Assert.That(((string)after["credentials"]!, (string)after["to_rewrap"]!), Is.EqualTo(("2", "0")));
        }
    }

    [Test]
    public async Task Kek_WithoutANewerVersion_IsRefusedAndSaysWhatToDo()
    {
        var refused = await OtpCtlAsync("key", "rotate", "--kind", "kek", "--reason", "yearly", "--apply");

        Assert.That((refused.ExitCode, refused.Output), Is.EqualTo((3, "")));
        Assert.That(refused.Errors, Does.StartWith("otpctl: FAILED_PRECONDITION: "));
    }

    [Test]
    public async Task Kek_WithANewerVersion_WrapsAllDataKeys()
    {
        var before = (string)Json((await OtpCtlAsync("key", "status", "--json")).Output)["newest_kek"]!;
        await File.AppendAllTextAsync(
            Path.Combine(Path.GetDirectoryName(service.Stores.DatabaseFile)!, "kek"), Convert.ToBase64String(RandomNumberGenerator.GetBytes(32)) + "\n");

        var rotated = await OtpCtlAsync("key", "rotate", "--kind", "kek", "--reason", "yearly", "--apply");
        var shown = await OtpCtlAsync("key", "status");

        Assert.That(rotated.ExitCode, Is.Zero, rotated.Errors);
        var lines = shown.Output.Split('\n');
        var newest = lines.Single(line => line.StartsWith("newest_kek: ", StringComparison.Ordinal))["newest_kek: ".Length..];
        Assert.That(newest, Is.Not.EqualTo(before));
        Assert.That(
            lines.Where(line => line.Contains("].kek_version: ", StringComparison.Ordinal)).Select(line => line.Split(": ")[1]).ToArray(),
            Has.Length.AtLeast(2).And.All.EqualTo(newest));
    }

    private static JsonObject Json(string line) => JsonNode.Parse(line)!.AsObject();

    private static int Version(JsonObject status) =>
        status["data_keys"]!.AsArray().Where(key => (string)key!["use"]! == "DATA_KEY_USE_CREDENTIALS").Max(key => (int)key!["version"]!);

    private Task<OtpCtlProcess.Result> OtpCtlAsync(params string[] args) => OtpCtlProcess.RunAsync([.. args, "--address", service.Address]);
}
