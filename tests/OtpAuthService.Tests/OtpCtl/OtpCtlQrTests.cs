using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests;

/// <summary>QR codes in files, read as a phone would, and used as its token program would: by programs that know nothing of this service.</summary>
[System.Runtime.Versioning.UnsupportedOSPlatform("windows")]
public sealed class OtpCtlQrTests
{
    private OtpService service = null!;
    private string folder = null!;

    [OneTimeSetUp]
    public async Task StartAsync() => service = await OtpService.StartAsync(StoreKind.Sqlite);

    [OneTimeTearDown]
    public async Task StopAsync() => await service.DisposeAsync();

    [SetUp]
    public void MakeFolder() => folder = Directory.CreateTempSubdirectory("otpctl-qr-").FullName;

    [TearDown]
    public void RemoveFolder() => Directory.Delete(folder, recursive: true);

    [TestCase("png")]
    [TestCase("svg")]
    [TestCase("png", "--digits", "8", "--period", "60", "--algorithm", "sha512")]
    [TestCase("svg", "--digits", "8", "--algorithm", "sha256")]
    public async Task Issue_IntoAFile_IsReadAndMakesOtpsThatAreAccepted(string form, params string[] parameters)
    {
        var file = Path.Combine(folder, $"qr.{form}");

        var issued = await IssueAsync([.. parameters, $"--{form}", file, "--apply"]);

        Assert.That(issued.ExitCode, Is.Zero, issued.Errors);
        Assert.That(Directory.GetFiles(folder), Is.EqualTo(new[] { file }));
        Assert.That(File.GetUnixFileMode(file), Is.EqualTo(UnixFileMode.UserRead | UnixFileMode.UserWrite));
        var uri = await ReadAsync(file);
        Assert.That(issued.Output, Does.Contain($"\notpauth_uri: {uri}\n"));
        var (contractor, credential) = (Calls.NewContractor(), issued.Output.Split('\n')[0]["credential_id: ".Length..]);
        var now = service.Clock.GetUtcNow();
        Assert.That((await service.Auth.RegisterAsync(contractor, credential, await OathtoolAsync(uri, now))).Outcome, Is.EqualTo(Outcome.Accepted));
        service.Clock.Advance(TimeSpan.FromMinutes(2));
        now = service.Clock.GetUtcNow();
        Assert.That((await service.Auth.VerifyAsync(contractor, await OathtoolAsync(uri, now))).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    [Test]
    public async Task Issue_IntoBoth_WritesTheSameCode()
    {
        var (png, svg) = (Path.Combine(folder, "qr.png"), Path.Combine(folder, "qr.svg"));

        var issued = await IssueAsync("--png", png, "--svg", svg, "--apply", "--json");

        Assert.That(issued.ExitCode, Is.Zero, issued.Errors);
        Assert.That(await ReadAsync(png), Is.EqualTo(await ReadAsync(svg)));
        Assert.That((string)System.Text.Json.Nodes.JsonNode.Parse(issued.Output)!["otpauth_uri"]!, Is.EqualTo(await ReadAsync(png)));
    }

    [Test]
    public async Task Issue_WithoutApply_WritesNothing()
    {
        var dry = await IssueAsync("--png", Path.Combine(folder, "qr.png"), "--svg", Path.Combine(folder, "qr.svg"));

        Assert.That(dry.ExitCode, Is.Zero, dry.Errors);
        Assert.That(Directory.GetFiles(folder), Is.Empty);
    }

    [TestCase("--png")]
    [TestCase("--svg")]
    public async Task Issue_IntoWhatIsThere_LeavesItAndIssuesNothing(string option)
    {
        var file = Path.Combine(folder, "qr");
        await File.WriteAllTextAsync(file, "somebody's");
        var before = await service.TracesAsync();

        var dry = await IssueAsync(option, file);
        var applied = await IssueAsync(option, file, "--apply");

        Assert.That((dry.ExitCode, applied.ExitCode, applied.Output), Is.EqualTo((2, 2, "")));
        Assert.That(applied.Errors, Does.StartWith($"otpctl: '{file}' is there already, and is not overwritten.\n"));
        Assert.That(await File.ReadAllTextAsync(file), Is.EqualTo("somebody's"));
        Assert.That(await service.TracesAsync(), Is.EqualTo(before));
    }

    [Test]
    public async Task Issue_IntoAFolderThatIsNotThere_IssuesNothing()
    {
        var before = await service.TracesAsync();

        var result = await IssueAsync("--png", Path.Combine(folder, "qr.png"), "--svg", Path.Combine(folder, "no", "qr.svg"), "--apply");

        Assert.That((result.ExitCode, result.Output), Is.EqualTo((2, "")));
        Assert.That(await service.TracesAsync(), Is.EqualTo(before));
        Assert.That(Directory.GetFiles(folder), Is.Empty);
    }

    [Test]
    public async Task Issue_ThatIsRefused_LeavesNoFile()
    {
        var refused = await IssueAsync("--png", Path.Combine(folder, "qr.png"), "--apply", "--institution", "elsewhere");

        Assert.That((refused.ExitCode, refused.Output), Is.EqualTo((3, "")));
        Assert.That(Directory.GetFiles(folder), Is.Empty);
    }

    [Test]
    public async Task Issue_IntoAFileThatAppearsMeanwhile_PrintsTheKeyAndDoesNotOverwriteIt()
    {
        var file = Path.Combine(folder, "qr.png");
        var id = Calls.NewRequestId();
        await using var proxy = new HalfwayProxy(service.Address, 0, async () =>
        {
            await File.WriteAllTextAsync(file, "somebody's");
            return true;
        });

        var late = await OtpCtlProcess.RunAsync("credential", "issue", "--png", file, "--apply", "--request-id", id, "--address", proxy.Address);
        var elsewhere = await IssueAsync("--png", file + ".2", "--apply", "--request-id", id);

        Assert.That((late.ExitCode, elsewhere.ExitCode), Is.EqualTo((4, 0)), late.Errors + elsewhere.Errors);
        Assert.That(late.Errors, Does.Contain($"add --request-id {id}"));
        Assert.That(await File.ReadAllTextAsync(file), Is.EqualTo("somebody's"));
        Assert.That(late.Output, Does.Contain(await ReadAsync(file + ".2")));
        Assert.That(Directory.GetFiles(folder), Is.EquivalentTo([file, file + ".2"]));
    }

    /// <summary>Like <c>otpctl credential issue --png … | head -n 1</c>.</summary>
    [Test]
    public async Task Issue_WhoseReaderLeaves_HasWrittenTheFile()
    {
        var file = Path.Combine(folder, "qr.png");

        var issued = await OtpCtlProcess.ReadOneLineAsync("credential", "issue", "--png", file, "--apply", "--address", service.Address);

        Assert.That(issued.Output, Does.StartWith("credential_id: "));
        Assert.That(await ReadAsync(file), Does.Contain(issued.Output["credential_id: ".Length..]));
    }

    private static async Task<string> ReadAsync(string file)
    {
        if (file.EndsWith(".svg", StringComparison.Ordinal))
        {
            var picture = $"{file}.png";
            await ChildProcess.RunAsync("rsvg-convert", ["--output", picture, file]);
            file = picture;
        }

        return (await ChildProcess.RunAsync("zbarimg", ["--quiet", "--nodbus", "--raw", file])).Trim();
    }

    private static async Task<string> OathtoolAsync(string uri, DateTimeOffset at)
    {
        var query = System.Web.HttpUtility.ParseQueryString(new Uri(uri).Query);
        string[] arguments =
        [
            $"--totp={query["algorithm"]!.ToLowerInvariant()}", $"--digits={query["digits"]}", $"--time-step-size={query["period"]}s",
            $"--now={at:yyyy-MM-dd HH:mm:ss} UTC", "--base32", query["secret"]!,
        ];
        return (await ChildProcess.RunAsync("oathtool", arguments)).Trim();
    }

    private Task<OtpCtlProcess.Result> IssueAsync(params string[] options) => OtpCtlProcess.RunAsync(["credential", "issue", .. options, "--address", service.Address]);
}
