using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;
using StatusCode = Grpc.Core.StatusCode;

namespace OtpAuthService.Tests.Keys;

/// <summary>A new version of the KEK, under which the data keys are wrapped at once; the one before may then go.</summary>
[TestFixture(StoreKind.Sqlite, KekKind.File)]
[TestFixture(StoreKind.PostgresRedis, KekKind.File)]
[TestFixture(StoreKind.Postgres, KekKind.Pkcs11)]
[TestFixture(StoreKind.PostgresRedis, KekKind.Transit)]
internal sealed class KekRotationTests(StoreKind store, KekKind kek)
{
    private KeysUnderTest keys = null!;
    private StoresUnderTest stores = null!;
    private OtpService service = null!;

    [SetUp]
    public async Task StartAsync()
    {
        keys = await KeysUnderTest.StartAsync(kek);
        stores = await StoresUnderTest.CreateAsync(store, keys: keys);
        service = await OtpService.StartAsync(stores);
    }

    [TearDown]
    public async Task StopAsync()
    {
        await service.DisposeAsync();
        stores.Dispose();
        await keys.DisposeAsync();
    }

    private DateTimeOffset Now => service.Clock.GetUtcNow();

    [Test]
    public async Task Rotation_OfTheKek_WrapsAllDataKeysAnewAndTheOldVersionMayGo()
    {
        var (contractor, token) = await service.RegisteredAsync();
        await service.Operations.RotateAsync(KeyKind.DataKey);
        var before = await service.Operations.KeyStatusAsync();
        keys.LayReady();

        await service.Operations.RotateAsync(KeyKind.Kek);

        var after = await service.Operations.KeyStatusAsync();
        Assert.That(after.NewestKek, Is.Not.EqualTo(before.NewestKek));
        Assert.That(after.DataKeys.Select(k => k.KekVersion), Is.All.EqualTo(after.NewestKek));
        Assert.That(after.DataKeys.Select(k => (k.Version, k.CreatedAt)), Is.EqualTo(before.DataKeys.Select(k => (k.Version, k.CreatedAt))), "the same keys");
        await keys.RemoveFirstAsync();
        var clock = service.Clock;
        await service.DisposeAsync();
        service = await OtpService.StartAsync(stores, clock);
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    [Test]
    public async Task Rotation_OfTheKekThatIsNotThereYet_SaysWhatToDoAndChangesNothing()
    {
        Assume.That(kek, Is.EqualTo(KekKind.File), "The others make versions themselves.");
        var before = await service.Operations.KeyStatusAsync();

        var refused = await Refusal.OfAsync(async () => await service.Operations.RotateAsync(KeyKind.Kek));

        Assert.That((refused.Code, refused.Info?.Reason), Is.EqualTo((StatusCode.FailedPrecondition, "KEK_NOT_READY")));
        Assert.That(refused.Text, Does.Contain("openssl rand -base64 32 >>"));
        Assert.That(await service.Operations.KeyStatusAsync(), Is.EqualTo(before));
        Assert.That(await service.AuditOfAsync("RotateKeys"), Is.Empty);

        keys.LayReady();
        await service.Operations.RotateAsync(KeyKind.Kek);
        var again = await Refusal.OfAsync(async () => await service.Operations.RotateAsync(KeyKind.Kek));
        Assert.That(again.Info?.Reason, Is.EqualTo("KEK_NOT_READY"), "one line is good for one rotation");
    }

    /// <summary>The new data key is under the newest version already: that must not keep the others under the old one.</summary>
    [Test]
    public async Task Rotation_OfTheKekAfterOneOfTheDataKey_TakesTheOthersToTheSameVersion()
    {
        keys.LayReady();
        var first = (await service.DataKeysAsync())[0].KekVersion;
        var newest = await keys.Open().AdvanceAsync(first, default);
        await service.Operations.RotateAsync(KeyKind.DataKey);
        Assert.That((await service.DataKeysAsync()).Select(k => k.KekVersion), Is.EqualTo(new[] { first, first, newest }));

        await service.Operations.RotateAsync(KeyKind.Kek);

        Assert.That((await service.DataKeysAsync()).Select(k => k.KekVersion), Is.EqualTo(new[] { newest, newest, newest }));
    }

    [Test]
    public async Task Rotation_DeliveredTwice_MakesOneVersion()
    {
        keys.LayReady();
        var id = Calls.NewRequestId();
        await service.Operations.RotateAsync(KeyKind.Kek, id);
        var once = await service.Operations.KeyStatusAsync();

        var again = await service.Operations.RotateAsync(KeyKind.Kek, id);

        Assert.That(again.Repeated, Is.True);
        Assert.That(await service.Operations.KeyStatusAsync(), Is.EqualTo(once));
    }

    [Test]
    public async Task Rotations_OfBothAtTheSameMoment_LeaveKeysThatOpen()
    {
        var (contractor, token) = await service.RegisteredAsync();
        keys.LayReady();

        await Task.WhenAll(
            Task.Run(async () => await service.Operations.RotateAsync(KeyKind.DataKey)),
            Task.Run(async () => await service.Operations.RotateAsync(KeyKind.Kek)),
            Task.Run(async () => await service.Operations.RotateAsync(KeyKind.DataKey)));

        var clock = service.Clock;
        await service.DisposeAsync();
        service = await OtpService.StartAsync(stores, clock);
        Assert.That((await service.DataKeysAsync()).Select(k => k.Version), Is.EqualTo(new[] { 1, 2, 3, 4 }));
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
    }
}
