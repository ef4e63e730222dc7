using OtpAuthService.Callers;
using OtpAuthService.Tests.Fixtures;

namespace OtpAuthService.Tests;

/// <summary>The callers' file, edited without a service: as people wrote it, and only into what the service takes.</summary>
[System.Runtime.Versioning.UnsupportedOSPlatform("windows")]
public sealed class OtpCtlCallerTests
{
    private const string Written =
        """
        {
          // Approved by the head of internet banking, see the wiki.
          "callers": [
            { "id": "web-1", "name": "spiffe://bank.example/caller/web-1", "roles": ["Frontend"], "institutions": ["demo"] }, // the shop, window 2
            /* Until the old gateway is gone: it has
               a certificate, without a URI. */
            { "id": "mobile-1", "name": "dns:mobile.bank.example",
              "roles": ["MobileGateway"], "institutions": ["demo"],
              "bypass": [ { "institution": "demo", "reason": "no token program, \"feature\" phones", "approver": "head",
                            "from": "2026-11-01T00:00:00+09:00", "notAfter": "2027-01-29T00:00:00+09:00", "perMinute": 600, "perContractorPerHour": 10 } ] },
            { "id": "desk-1", "name": "spiffe://bank.example/caller/desk-1", "roles": ["Operator"], "institutions": ["demo", "minato"] },
          ]
        }

        """;

    private TestAuthority authority = null!;
    private string file = null!;
    private string pem = null!;

    [SetUp]
    public void Write()
    {
        authority = new TestAuthority();
        file = Path.Combine(authority.Folder, "callers.json");
        File.WriteAllText(file, Written);
        pem = authority.IssueClient("spiffe://bank.example/caller/desk-2").CertificateFile;
    }

    [TearDown]
    public void Remove() => authority.Dispose();

    [Test]
    public async Task Transcript_OfTheCallersFile_IsAsInTheGoldenFile()
    {
        var transcript = new Transcript((file, "callers.json"), (pem, "desk-2.pem"));
        await transcript.RunAsync("caller list --file callers.json");
        await transcript.RunAsync("caller add --file callers.json --id desk-2 --pem desk-2.pem --roles Operator Auditor --institutions demo --not-after 2030-01-01T00:00Z");
        await transcript.RunAsync("caller add --file callers.json --id desk-2 --pem desk-2.pem --roles Operator Auditor --institutions demo --not-after 2030-01-01T00:00Z --apply");
        await transcript.RunAsync("caller add --file callers.json --id desk-2 --pem desk-2.pem --roles Operator --institutions demo --apply");
        await transcript.RunAsync("caller remove --file callers.json --id desk-1 --apply --json");
        await transcript.RunAsync("caller remove --file callers.json --id nobody --apply");
        await transcript.RunAsync("caller list --file callers.json --json");
        transcript.AssertGolden("caller.transcript.txt");
    }

    [Test]
    public async Task Add_WithoutApply_LeavesTheFileAsItIs()
    {
        var result = await OtpCtlProcess.RunAsync("caller", "add", "--file", file, "--id", "desk-2", "--pem", pem, "--roles", "Operator", "--institutions", "demo");

        Assert.That((result.ExitCode, result.Errors), Is.EqualTo((0, "otpctl: dry run, nothing was changed. Add --apply to do it.\n")));
        Assert.That(await File.ReadAllTextAsync(file), Is.EqualTo(Written));
    }

    [Test]
    public async Task AddAndRemove_OfTheSame_LeaveEveryOtherByteAsItWas()
    {
        await AddAsync("desk-2");
        var added = await File.ReadAllTextAsync(file);
        await RemoveAsync("desk-2");

        Assert.That(added, Does.Contain("""    { "id": "desk-2", "name": "spiffe://bank.example/caller/desk-2", "roles": ["Operator"], "institutions": ["demo"] }"""));
        Assert.That(Registry().Select(caller => caller.Id), Is.EquivalentTo(["web-1", "mobile-1", "desk-1"]));
        Assert.That(await File.ReadAllTextAsync(file), Is.EqualTo(Written).Or.EqualTo(Written.Replace("\"minato\"] },", "\"minato\"] }", StringComparison.Ordinal)));
    }

    [TestCase("web-1")]
    [TestCase("mobile-1")]
    [TestCase("desk-1")]
    public async Task Remove_OfAny_KeepsTheOthersAndTheCommentsOfPeople(string id)
    {
        await RemoveAsync(id);

        var left = await File.ReadAllTextAsync(file);
        Assert.That(Registry().Select(caller => caller.Id), Is.EquivalentTo(new[] { "web-1", "mobile-1", "desk-1" }.Except([id])));
        Assert.That(left, Does.Not.Contain($"\"{id}\"").And.Contains("// Approved by").And.Contains("/* Until the old gateway"));
    }

    [Test]
    public async Task RemoveAll_AndAddAgain_ComesToAFileThatTheServiceTakes()
    {
        foreach (var id in new[] { "desk-1", "web-1" })
        {
            await RemoveAsync(id);
        }

        await AddAsync("desk-2");
        await RemoveAsync("mobile-1");
        Assert.That(Registry().Select(caller => caller.Id), Is.EqualTo(["desk-2"]));
    }

    [TestCase("{\"callers\":[]}")]
    [TestCase("{ \"callers\": [\r\n  { \"id\": \"a\", \"name\": \"spiffe://a\", \"roles\": [\"Operator\"], \"institutions\": [\"demo\"] }\r\n] }\r\n")]
    public async Task Add_ToAnyLayout_ComesToAFileThatTheServiceTakes(string written)
    {
        await File.WriteAllTextAsync(file, written);

        await AddAsync("desk-2");

        Assert.That(Registry().Select(caller => caller.Id), Does.Contain("desk-2"));
        var bareLineEnds = (await File.ReadAllTextAsync(file)).Replace("\r\n", "", StringComparison.Ordinal).Contains('\n', StringComparison.Ordinal);
        Assert.That(bareLineEnds, Is.EqualTo(!written.Contains("\r\n", StringComparison.Ordinal)), "its line ends stay its own");
    }

    [Test]
    public async Task Add_OfACertificateThatNamesNobody_IsRefused()
    {
        var nameless = authority.Issue(CertificateContent.Client with { Uris = [] }).CertificateFile;

        var result = await OtpCtlProcess.RunAsync("caller", "add", "--file", file, "--id", "desk-2", "--pem", nameless, "--roles", "Operator", "--institutions", "demo", "--apply");

        Assert.That(result.ExitCode, Is.EqualTo(2));
        Assert.That(result.Errors, Does.Contain("names nobody"));
        Assert.That(await File.ReadAllTextAsync(file), Is.EqualTo(Written));
    }

    [TestCase("desk-1")]
    [TestCase("local")]
    [TestCase("desk 2")]
    public async Task Add_OfAnIdThatTheServiceRefuses_IsRefusedByTheSameRules(string id)
    {
        var result = await OtpCtlProcess.RunAsync("caller", "add", "--file", file, "--id", id, "--pem", pem, "--roles", "Operator", "--institutions", "demo", "--apply");

        Assert.That(result.ExitCode, Is.EqualTo(2));
        Assert.That(result.Errors, Does.Contain("would not be taken by the service: "));
        Assert.That(await File.ReadAllTextAsync(file), Is.EqualTo(Written));
    }

    [Test]
    public async Task Apply_ThroughALink_KeepsTheLinkAndTheMode()
    {
        var link = Path.Combine(authority.Folder, "link.json");
        File.CreateSymbolicLink(link, file);
        File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite);

        var result = await OtpCtlProcess.RunAsync("caller", "remove", "--file", link, "--id", "desk-1", "--apply");

        Assert.That(result.ExitCode, Is.Zero, result.Errors);
        Assert.That(new FileInfo(link).LinkTarget, Is.EqualTo(file));
        Assert.That(File.GetUnixFileMode(file), Is.EqualTo(UnixFileMode.UserRead | UnixFileMode.UserWrite));
        Assert.That(Registry().Select(caller => caller.Id), Has.None.EqualTo("desk-1"));
        Assert.That(Directory.GetFiles(authority.Folder, "*.new"), Is.Empty);
    }

    [Test]
    public async Task Check_OfAGoodFileABrokenOneAndOneThatEnds_SaysWhich()
    {
        var soon = TimeProvider.System.GetUtcNow().AddDays(3);
        var callers = new[] { CallerRow.Frontend("web", "demo") with { NotAfter = soon }, CallerRow.Operator("desk", "demo") };
        using var ending = new CallersUnderTest(callers);
        var good = await OtpCtlProcess.RunAsync("", ["caller", "check"], ("OtpAuth__CallersFile", ending.CallersFile));
        await File.WriteAllTextAsync(file, Written.Replace("\"Operator\"", "\"Chief\"", StringComparison.Ordinal));
        var broken = await OtpCtlProcess.RunAsync("caller", "check", "--file", file);

        Assert.That(good.ExitCode, Is.Zero);
        Assert.That(good.Output, Does.StartWith("WARNING callers.web: Caller web ends in 2 days").And.Contains("\nOK callers: The service takes ").And.EndsWith("FAULT: 0, WARNING: 1, OK: 1\n"));
        Assert.That(broken.ExitCode, Is.EqualTo(6));
        Assert.That(broken.Output, Does.StartWith("FAULT callers: The service would not take "));
    }

    private IEnumerable<Caller> Registry() => CallerRegistry.Read(File.ReadAllBytes(file)).All;

    private async Task AddAsync(string id)
    {
        var result = await OtpCtlProcess.RunAsync("caller", "add", "--file", file, "--id", id, "--pem", pem, "--roles", "Operator", "--institutions", "demo", "--apply");
        Assert.That(result.ExitCode, Is.Zero, result.Errors);
    }

    private async Task RemoveAsync(string id)
    {
        var result = await OtpCtlProcess.RunAsync("caller", "remove", "--file", file, "--id", id, "--apply");
        Assert.That(result.ExitCode, Is.Zero, result.Errors);
    }
}
