using System.Text.Json.Nodes;
using OtpAuthService.Tests.Credentials;
using OtpAuthService.Tests.Fixtures;

namespace OtpAuthService.Tests;

/// <summary>A bank's credentials leave by the command line: two persons, one file that its owner alone can read, whole or not at all.</summary>
[System.Runtime.Versioning.UnsupportedOSPlatform("windows")]
public sealed class OtpCtlExportTests
{
    private const string Key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    private const string Password = "correct horse battery";
    private const int Credentials = 400;

    private OtpService service = null!;
    private string folder = null!;

    [OneTimeSetUp]
    public async Task StartAsync()
    {
        service = await OtpService.StartAsync(StoreKind.Sqlite);
        // So many that the file comes in several pieces.
        await service.Operations.ImportPskcAsync(
            PskcFiles.WithPlainKeys([.. Enumerable.Range(0, Credentials).Select(i => ($"ABCD{i:D8}", new byte[20]))]), supplier: "acme");
    }

    [OneTimeTearDown]
    public async Task StopAsync() => await service.DisposeAsync();

    [SetUp]
    public void MakeFolder() => folder = Directory.CreateTempSubdirectory("otpctl-export-").FullName;

    [TearDown]
    public void RemoveFolder() => Directory.Delete(folder, recursive: true);

    [TestCase("--key-stdin", Key)]
    [TestCase("--key-file", Key)]
    [TestCase("--password-stdin", Password)]
    [TestCase("--password-file", Password)]
    public async Task Fetch_OfAConfirmedExport_WritesAFileThatOthersOpen(string option, string secret)
    {
        var file = Path.Combine(folder, "leaving.pskc");
        var (contractor, token) = await service.RegisteredAsync();
        string[] how = option.EndsWith("-file", StringComparison.Ordinal) ? [option, await WriteAsync("secret", secret + "\n")] : [option];

        var fetched = await FetchAsync(await ConfirmedAsync("registered-and-unused"), file, secret, how);
        var json = await FetchAsync(await ConfirmedAsync("registered-and-unused"), file + ".2", secret, [.. how, "--json"]);

        Assert.That(fetched.ExitCode, Is.Zero, fetched.Errors);
        Assert.That(fetched.Output, Does.Match($@"\Aapplied: true\nfile: {file}\ncredentials: [0-9]+\n\z"));
        Assert.That((int)JsonNode.Parse(json.Output)!["credentials"]!, Is.AtLeast(Credentials + 1));
        Assert.That(fetched.Output + fetched.Errors + json.Output + json.Errors, Does.Not.Contain(secret));
        Assert.That(Directory.GetFiles(folder, "*leaving*").Select(Path.GetFileName), Is.EquivalentTo(["leaving.pskc", "leaving.pskc.2"]));
        Assert.That(File.GetUnixFileMode(file), Is.EqualTo(UnixFileMode.UserRead | UnixFileMode.UserWrite));
        var opened = await ChildProcess.RunAsync(
            "pskc2csv", [option.StartsWith("--key", StringComparison.Ordinal) ? "--secret" : "--password", secret, "--secret-encoding", "hex", "--columns", "id,secret", file]);
        Assert.That(opened, Does.Contain($"{token.CredentialId},{Convert.ToHexStringLower(token.Key)}").And.Contain($"ABCD{Credentials - 1:D8},{new string('0', 40)}"));
        Assert.That((await service.AuditOfAsync("ExportCredentials")).Last().OperatorId, Is.EqualTo("h.sato"));
    }

    [Test]
    public async Task Fetch_WithoutApply_FetchesNothingAndMakesNoFile()
    {
        var file = Path.Combine(folder, "leaving.pskc");
        var id = await ConfirmedAsync("registered-and-unused", "acme");

        var dry = await OtpCtlAsync("", "export", "fetch", "--id", id, "--operator", "h.sato", "--file", file, "--password-stdin");
        var files = Directory.GetFiles(folder);
        var fetched = await FetchAsync(id, file, Password, "--password-stdin");

        Assert.That((dry.ExitCode, dry.Errors), Is.EqualTo((0, "otpctl: dry run, nothing was changed. Add --apply to do it.\n")));
        Assert.That(dry.Output, Is.EqualTo($"now: not told\nrpc: ExportCredentials\nrequest.institution_id: demo\nrequest.export_id: {id}\nrequest.operator_id: h.sato\napplied: false\n"));
        Assert.That(files, Is.Empty);
        Assert.That(fetched.Output, Does.EndWith($"\ncredentials: {Credentials}\n"));
    }

    [TestCase("leaving.pskc")]
    [TestCase("dangling")]
    [TestCase("folder")]
    public async Task Fetch_ToWhatIsThere_LeavesItAndTheExport(string name)
    {
        var there = await WriteAsync("leaving.pskc", "somebody's");
        File.CreateSymbolicLink(Path.Combine(folder, "dangling"), Path.Combine(folder, "nowhere"));
        Directory.CreateDirectory(Path.Combine(folder, "folder"));
        var file = Path.Combine(folder, name);
        var id = await ConfirmedAsync("registered-and-unused", "acme");

        var dry = await OtpCtlAsync("", "export", "fetch", "--id", id, "--operator", "h.sato", "--file", file, "--password-stdin");
        var applied = await FetchAsync(id, file, Password, "--password-stdin");
        var elsewhere = await FetchAsync(id, Path.Combine(folder, "another.pskc"), Password, "--password-stdin");

        Assert.That((dry.ExitCode, applied.ExitCode, elsewhere.ExitCode), Is.EqualTo((2, 2, 0)), elsewhere.Errors);
        Assert.That(new[] { dry.Errors, applied.Errors }, Has.All.StartsWith($"otpctl: '{file}' is there already, and is not overwritten.\n"));
        Assert.That(await File.ReadAllTextAsync(there), Is.EqualTo("somebody's"));
        Assert.That(File.Exists(Path.Combine(folder, "nowhere")), Is.False);
    }

    [Test]
    public async Task Fetch_ThatBreaksOff_LeavesNoFileAndSaysWhatIsLeft()
    {
        var id = await ConfirmedAsync("registered-and-unused", "acme");
        var files = Array.Empty<string>();
        await using var proxy = new HalfwayProxy(service.Address, 100_000, () =>
        {
            files = Directory.GetFiles(folder);
            return Task.FromResult(false);
        });

        var broken = await FetchAsync(id, Path.Combine(folder, "leaving.pskc"), Password, ["--password-stdin"], proxy.Address);
        var again = await FetchAsync(id, Path.Combine(folder, "leaving.pskc"), Password, "--password-stdin");

        Assert.That(files, Has.Length.EqualTo(1), "it was being written, under another name");
        Assert.That(Path.GetFileName(files[0]), Does.StartWith(".leaving.pskc."));
        Assert.That((broken.ExitCode, broken.Output), Is.EqualTo((4, "")));
        Assert.That(broken.Errors, Does.Contain("counts as fetched").And.Not.Contains("--request-id").And.Not.Contains(Password));
        Assert.That((again.ExitCode, again.Output), Is.EqualTo((3, "")));
        Assert.That(again.Errors, Does.Contain("EXPORT_FETCHED"));
        Assert.That(Directory.GetFiles(folder), Is.Empty);
    }

    [Test]
    public async Task Fetch_OfAFileThatAppearsMeanwhile_DoesNotOverwriteIt()
    {
        var file = Path.Combine(folder, "leaving.pskc");
        var id = await ConfirmedAsync("registered-and-unused", "acme");
        await using var proxy = new HalfwayProxy(service.Address, 100_000, async () =>
        {
            await File.WriteAllTextAsync(file, "somebody's");
            return true;
        });

        var late = await FetchAsync(id, file, Password, ["--password-stdin"], proxy.Address);

        Assert.That((late.ExitCode, late.Output), Is.EqualTo((4, "")));
        Assert.That(late.Errors, Does.Contain("counts as fetched"));
        Assert.That(await File.ReadAllTextAsync(file), Is.EqualTo("somebody's"));
        Assert.That(Directory.GetFiles(folder), Is.EqualTo(new[] { file }));
    }

    [TestCase("--key-stdin", "0001", "pre_shared_key")]
    [TestCase("--password-stdin", "too short", "password")]
    public async Task Fetch_WithASecretThatWillNotDo_IsRefusedAndStaysToBeFetched(string option, string secret, string field)
    {
        var file = Path.Combine(folder, "leaving.pskc");
        var id = await ConfirmedAsync("registered-and-unused", "acme");

        var refused = await FetchAsync(id, file, secret, option);
        var notHex = await FetchAsync(id, file, "not hex", "--key-stdin");
        var files = Directory.GetFiles(folder);
        var fetched = await FetchAsync(id, file, Key, "--key-stdin");

        Assert.That((refused.ExitCode, notHex.ExitCode, fetched.ExitCode), Is.EqualTo((3, 2, 0)), fetched.Errors);
        Assert.That(refused.Errors, Does.Contain($"  field {field}: ").And.Not.Contains(secret).And.Not.Contains("counts as fetched"));
        Assert.That(notHex.Errors, Is.EqualTo("otpctl: the pre-shared key is not in hex.\n"));
        Assert.That(files, Is.Empty);
    }

    [Test]
    public async Task Fetch_OfWhatIsNoId_IsRefusedByTheDryRunLikewise()
    {
        string[] command = ["export", "fetch", "--id", "abc", "--file", Path.Combine(folder, "leaving.pskc"), "--password-stdin"];

        var dry = await OtpCtlAsync("", command);
        var applied = await OtpCtlAsync(Password, [.. command, "--apply"]);

        Assert.That(dry.Errors, Does.Contain("  field export_id: "));
        Assert.That((dry.ExitCode, dry.Output, dry.Errors), Is.EqualTo((applied.ExitCode, applied.Output, applied.Errors)));
    }

    [Test]
    public async Task Export_WithoutTheSecondPerson_IsRefused()
    {
        var id = await RequestedAsync("registered");

        var early = await FetchAsync(id, Path.Combine(folder, "leaving.pskc"), Password, "--password-stdin");
        var same = await OtpCtlAsync("", "export", "confirm", "--id", id, "--operator", "h.sato", "--reason", "agreed", "--apply");
        var confirmed = await OtpCtlAsync("", "export", "confirm", "--id", id, "--operator", "m.ito", "--reason", "agreed", "--apply");
        var another = await OtpCtlAsync(
            Password, "export", "fetch", "--id", id, "--operator", "m.ito", "--file", Path.Combine(folder, "leaving.pskc"), "--password-stdin", "--apply");

        Assert.That((early.ExitCode, same.ExitCode, confirmed.ExitCode, another.ExitCode), Is.EqualTo((3, 3, 0, 3)), confirmed.Errors);
        Assert.That(early.Errors, Does.Contain("EXPORT_NOT_CONFIRMED"));
        Assert.That(same.Errors, Does.Contain("SECOND_PERSON_NEEDED"));
        Assert.That(another.Errors, Does.Contain("EXPORT_OF_ANOTHER"));
        Assert.That(Directory.GetFiles(folder), Is.Empty);
    }

    private async Task<string> RequestedAsync(string scope, string? supplier = null)
    {
        var requested = await OtpCtlAsync(
            "",
            ["export", "request", "--scope", scope, .. supplier is null ? Array.Empty<string>() : ["--supplier", supplier], "--operator", "h.sato", "--reason", "the bank moves", "--apply", "--json"]);
        Assert.That(requested.ExitCode, Is.Zero, requested.Errors);
        return (string)JsonNode.Parse(requested.Output)!["export_id"]!;
    }

    private async Task<string> ConfirmedAsync(string scope, string? supplier = null)
    {
        var id = await RequestedAsync(scope, supplier);
        var confirmed = await OtpCtlAsync("", "export", "confirm", "--id", id, "--operator", "m.ito", "--reason", "agreed", "--apply");
        Assert.That(confirmed.ExitCode, Is.Zero, confirmed.Errors);
        return id;
    }

    private Task<OtpCtlProcess.Result> FetchAsync(string id, string file, string secret, params string[] how) => FetchAsync(id, file, secret, how, service.Address);

    private static Task<OtpCtlProcess.Result> FetchAsync(string id, string file, string secret, string[] how, string address) =>
        OtpCtlProcess.RunAsync(secret + "\n", ["export", "fetch", "--id", id, "--operator", "h.sato", "--file", file, .. how, "--apply", "--address", address]);

    private async Task<string> WriteAsync(string name, string content)
    {
        var path = Path.Combine(folder, name);
        await File.WriteAllTextAsync(path, content);
        return path;
    }

    private Task<OtpCtlProcess.Result> OtpCtlAsync(string stdin, params string[] args) => OtpCtlProcess.RunAsync(stdin, [.. args, "--address", service.Address]);
}
