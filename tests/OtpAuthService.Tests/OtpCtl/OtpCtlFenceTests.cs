using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests;

/// <summary>The fence is raised from the command line, and not by mistake.</summary>
public sealed class OtpCtlFenceTests
{
    private OtpService service = null!;

    [SetUp]
    public async Task StartAsync() => service = await OtpService.StartAsync(StoreKind.Sqlite);

    [TearDown]
    public async Task StopAsync() => await service.DisposeAsync();

    [Test]
    public async Task Raise_WithoutApply_ShowsTheFenceAndChangesNothing()
    {
        var (contractor, token) = await service.RegisteredAsync();

        var result = await OtpCtlAsync("fence", "raise", "--reason", "a try");

        Assert.That(result.ExitCode, Is.Zero, result.Errors);
        Assert.That(result.Errors, Is.EqualTo("otpctl: dry run, nothing was changed. Add --apply to do it.\n"));
        Assert.That((await service.Operations.GetFenceAsync(new() { InstitutionId = "demo" })).Fence, Is.Null);
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(service.Clock.GetUtcNow()))).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    [Test]
    public async Task Raise_WithApply_RaisesItAndShowShowsIt()
    {
        var (contractor, token) = await service.RegisteredAsync();

        var raised = await OtpCtlAsync("fence", "raise", "--reason", "restored to 09:40", "--operator", "h.sato", "--apply");
        var shown = await OtpCtlAsync("fence", "show");

        Assert.That((raised.ExitCode, shown.ExitCode), Is.EqualTo((0, 0)), raised.Errors + shown.Errors);
        Assert.That(raised.Output, Does.Match(@"\Afence: \S+Z\ndecided_at: \S+Z\nrepeated: false\n\z"));
        Assert.That(shown.Output, Does.Match(@"\Afence: \S+Z\nraised_at: \S+Z\nreason: restored to 09:40\n\z"));
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(service.Clock.GetUtcNow()))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
        Assert.That((await service.AuditOfAsync("RaiseFence")).Single().OperatorId, Is.EqualTo("h.sato"));
    }

    [Test]
    public async Task Raise_FurtherThanAnHourAhead_IsRefused()
    {
        var refused = await OtpCtlAsync("fence", "raise", "--reason", "a typing error", "--until", "2999-01-01T00:00Z", "--apply");

        Assert.That((refused.ExitCode, refused.Output), Is.EqualTo((3, "")));
        Assert.That(refused.Errors, Does.StartWith("otpctl: INVALID_ARGUMENT: ").And.Contain("until"));
    }

    private Task<OtpCtlProcess.Result> OtpCtlAsync(params string[] args) => OtpCtlProcess.RunAsync([.. args, "--address", service.Address]);
}
