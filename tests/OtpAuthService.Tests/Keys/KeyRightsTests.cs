using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;
using StatusCode = Grpc.Core.StatusCode;

namespace OtpAuthService.Tests.Keys;

/// <summary>Who may rotate keys, and who may look.</summary>
internal sealed class KeyRightsTests
{
    [Test]
    public async Task Keys_ByRole_OperatorsRotateAuditorsReadFrontEndsNeither()
    {
        using var callers = new CallersUnderTest(
            CallerRow.Frontend("ib-1", "demo"), CallerRow.Operator("desk-1", "demo"), new CallerRow("audit-1", ["Auditor"], "demo"), CallerRow.Operator("desk-2", "minato"));
        await using var service = await OtpService.StartAsync(StoreKind.Sqlite, callers.Settings);
        using var frontend = callers.Connect(service, "ib-1");
        using var desk = callers.Connect(service, "desk-1");
        using var auditor = callers.Connect(service, "audit-1");
        using var foreign = callers.Connect(service, "desk-2");

        foreach (var caller in new[] { frontend, auditor })
        {
            var refused = await Refusal.OfAsync(async () => await caller.Operations.RotateAsync(KeyKind.DataKey));
            Assert.That((refused.Code, refused.Info?.Reason), Is.EqualTo((StatusCode.PermissionDenied, "ROLE_MISSING")));
        }

        var elsewhere = await Refusal.OfAsync(async () => await foreign.Operations.RotateAsync(KeyKind.DataKey));
        Assert.That(elsewhere.Info?.Reason, Is.EqualTo("INSTITUTION_NOT_CALLERS"));
        var unseen = await Refusal.OfAsync(async () => await frontend.Operations.KeyStatusAsync());
        Assert.That(unseen.Info?.Reason, Is.EqualTo("ROLE_MISSING"));
        Assert.That((await auditor.Operations.KeyStatusAsync()).DataKeys, Has.Count.EqualTo(2), "nobody has rotated anything");
        Assert.That((await desk.Operations.RotateAsync(KeyKind.DataKey)).Repeated, Is.False);
        Assert.That((await auditor.Operations.KeyStatusAsync()).DataKeys, Has.Count.EqualTo(3));
    }
}
