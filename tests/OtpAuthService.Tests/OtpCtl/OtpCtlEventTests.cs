using System.Text.Json.Nodes;
using OtpAuthService.Tests.Fixtures;

namespace OtpAuthService.Tests;

/// <summary>What may be told to contractors, as somebody who writes the notices gets it from the command line.</summary>
public sealed class OtpCtlEventTests
{
    private OtpService service = null!;
    private string contractor = null!;
    private SoftToken token = null!;

    [SetUp]
    public async Task StartAsync()
    {
        service = await OtpService.StartAsync(StoreKind.Sqlite);
        (contractor, token) = await service.RegisteredAsync();
        await service.Operations.ReportLostAsync(contractor);
    }

    [TearDown]
    public async Task StopAsync() => await service.DisposeAsync();

    [Test]
    public async Task Stream_UpToNow_PrintsALineForEachEvent()
    {
        var result = await OtpCtlAsync("event", "stream");

        Assert.That((result.ExitCode, result.Errors), Is.EqualTo((0, "")));
        var lines = result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.That(lines, Has.Length.EqualTo(2));
        Assert.That(lines[0], Does.Match($@"\A\S+Z REGISTERED {contractor} {token.CredentialId} [A-Za-z0-9_-]{{32}}\z"));
        Assert.That(lines[1], Does.Match($@"\A\S+Z LOST {contractor} {token.CredentialId} [A-Za-z0-9_-]{{32}}\z"));
    }

    [Test]
    public async Task Stream_AfterAnEvent_PrintsWhatFollowed()
    {
        var all = Documents(await OtpCtlAsync("event", "stream", "--json"));
        Assert.That(all.Select(e => (string)e["kind"]!), Is.EqualTo(["EVENT_KIND_REGISTERED", "EVENT_KIND_LOST"]));

        var rest = Documents(await OtpCtlAsync("event", "stream", "--json", "--after", (string)all[0]["resume_token"]!));
        Assert.That(rest.Select(e => (string)e["event_id"]!), Is.EqualTo([(string)all[1]["event_id"]!]));
    }

    [Test]
    public async Task Stream_AfterAnEventThatIsGone_IsRefused()
    {
        var last = (string)Documents(await OtpCtlAsync("event", "stream", "--json"))[^1]["resume_token"]!;
        await service.ExecuteAsync("DELETE FROM events");

        var gone = await OtpCtlAsync("event", "stream", "--after", last);
        var none = await OtpCtlAsync("event", "stream", "--after", "x");

        Assert.That((gone.ExitCode, gone.Output), Is.EqualTo((3, "")));
        Assert.That(gone.Errors, Does.StartWith("otpctl: OUT_OF_RANGE: "));
        Assert.That((none.ExitCode, none.Output), Is.EqualTo((3, "")));
        Assert.That(none.Errors, Does.Contain("  field resume_token: "));
    }

    [Test]
    public async Task Stream_ThatFollows_PrintsAsItHappensUntilInterrupted()
    {
        // A run in the background hands on that SIGINT is ignored.
        using var following = ChildProcess.Start(
            "env", ["--default-signal=INT", "dotnet", Path.Combine(AppContext.BaseDirectory, "otpctl.dll"), "event", "stream", "--follow", "--address", service.Address]);
        await Eventually.IsTrueAsync(() => Task.FromResult(following.Output.Contains(" LOST ")), "the events of before are printed");

        await service.Operations.OpenReregistrationAsync(contractor);
        await Eventually.IsTrueAsync(() => Task.FromResult(following.Output.Contains($" REREGISTRATION_OPENED {contractor} ")), "the new one is printed");
        Assert.That(following.HasExited, Is.False);
        following.Signal("INT");

        Assert.That(await following.WaitForExitAsync(), Is.EqualTo(130), following.Output);
    }

    private static List<JsonNode> Documents(OtpCtlProcess.Result result)
    {
        Assert.That(result.ExitCode, Is.Zero, result.Errors);
        return [.. result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonNode.Parse(line)!)];
    }

    private Task<OtpCtlProcess.Result> OtpCtlAsync(params string[] args) => OtpCtlProcess.RunAsync([.. args, "--address", service.Address]);
}
