using System.Security.Cryptography;
using OtpAuthService.Tests.Credentials;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;
using StatusCode = Grpc.Core.StatusCode;

namespace OtpAuthService.Tests.Keys;

/// <summary>A new data key, and every credential brought under it beside the calls (promise P7).</summary>
[TestFixture(StoreKind.Sqlite)]
[TestFixture(StoreKind.Postgres)]
[TestFixture(StoreKind.PostgresRedis)]
internal sealed class RotationTests(StoreKind store)
{
    /// <summary>Until then a replica may wrap under the key before.</summary>
    private static readonly TimeSpan Grace = TimeSpan.FromMinutes(1);

    private StoresUnderTest stores = null!;
    private OtpService service = null!;

    [SetUp]
    public async Task StartAsync()
    {
        stores = await StoresUnderTest.CreateAsync(store);
        service = await OtpService.StartAsync(stores);
    }

    [TearDown]
    public async Task StopAsync()
    {
        await service.DisposeAsync();
        stores.Dispose();
    }

    [Test]
    public async Task Rotation_OfTheDataKey_IsSeenByNobodyAndBringsEveryCredentialUnderTheNewOne()
    {
        var customers = await RegisterAsync(service, 5);

        var rotated = await service.Operations.RotateAsync(KeyKind.DataKey);

        Assert.That(rotated.Repeated, Is.False);
        await AllVerifyAsync(service, customers);
        var late = await service.RegisteredAsync();
        Assert.That((await service.CredentialAsync(late.Token)).KeyVersion, Is.EqualTo(3), "new ones are wrapped by the new key");
        await RewrappedAsync(service);
        foreach (var (_, token) in customers)
        {
            Assert.That((await service.CredentialAsync(token)).KeyVersion, Is.EqualTo(3));
        }

        await service.ExpectMetricAsync("otp_keys_to_rewrap", 0);
        service.Clock.Advance(TimeSpan.FromSeconds(30));
        await AllVerifyAsync(service, [.. customers, late]);
        var audit = (await service.AuditOfAsync("RotateKeys")).Single();
        Assert.That((audit.Reason, audit.OperatorId), Is.EqualTo(("yearly", "op-1")));
    }

    [Test]
    public async Task OldDataKey_ThatWrapsNothing_StaysForAMinuteAndIsThenRemoved()
    {
        var (_, token) = await service.RegisteredAsync();
        var old = await service.CredentialAsync(token);
        await service.Operations.RotateAsync(KeyKind.DataKey);
        await RewrappedAsync(service);

        service.Clock.Advance(Grace - TimeSpan.FromSeconds(1));
        // A row that comes back under the old key, as from a replica that is behind: re-wrapped again and again, the background has looked for unused keys in between.
        for (var time = 0; time < 4; time++)
        {
            await service.OverwriteKeyAsync(token, old.WrappedKey, old.KeyVersion);
            await Eventually.IsTrueAsync(async () => (await service.CredentialAsync(token)).KeyVersion == 3, "re-wrapped again");
        }

        Assert.That((await service.DataKeysAsync()).Select(k => k.Version), Is.EqualTo(new[] { 1, 2, 3 }));

        service.Clock.Advance(TimeSpan.FromSeconds(1));
        await Eventually.IsTrueAsync(async () => (await service.DataKeysAsync()).Select(k => k.Version).SequenceEqual([2, 3]), "the old data key is removed");
        await Eventually.IsTrueAsync(() => Task.FromResult(service.Errors.All.Contains("removed: 1", StringComparison.Ordinal)), "it is logged");
    }

    [Test]
    public async Task KeyStatus_BeforeAndAfter_CountsWhatEachKeyWraps()
    {
        await RegisterAsync(service, 3);
        var before = await service.Operations.KeyStatusAsync();
        Assert.That(before.DataKeys.Select(k => (k.Version, k.Use)), Is.EqualTo(new[] { (1, DataKeyUse.Credentials), (2, DataKeyUse.Service) }));
        Assert.That((before.DataKeys[0].Credentials, before.DataKeys[1].Credentials, before.ToRewrap), Is.EqualTo((before.Credentials, 0L, 0L)));
        Assert.That(before.DataKeys.Select(k => k.KekVersion), Is.All.EqualTo(before.NewestKek));

        await service.Operations.RotateAsync(KeyKind.DataKey);
        await service.Operations.IssueAsync();
        await RewrappedAsync(service);

        var after = await service.Operations.KeyStatusAsync();
        Assert.That(after.Credentials, Is.EqualTo(before.Credentials + 1));
        Assert.That(
            after.DataKeys.Select(k => (k.Version, k.Use, k.Credentials)),
            Is.EqualTo(new[] { (1, DataKeyUse.Credentials, 0), (2, DataKeyUse.Service, 0), (3, DataKeyUse.Credentials, after.Credentials) }));
        Assert.That(after.DataKeys[2].CreatedAt.ToDateTimeOffset(), Is.EqualTo(service.Clock.GetUtcNow()).Within(TimeSpan.FromMilliseconds(1)));
    }

    [Test]
    public async Task Rotation_PastAStoredKeyThatWasAltered_BringsAllOthersUnderTheNewOneAndTellsOfIt()
    {
        var customers = await RegisterAsync(service, 3);
        var (victim, token) = customers[1];
        var row = await service.CredentialAsync(token);
        var altered = (byte[])row.WrappedKey.Clone();
        altered[^1] ^= 1;
        await service.OverwriteKeyAsync(token, altered, row.KeyVersion);

        await service.Operations.RotateAsync(KeyKind.DataKey);
        await Eventually.IsTrueAsync(async () => (await service.Operations.KeyStatusAsync()).ToRewrap == 1, "all but one");
        await Eventually.IsTrueAsync(() => Task.FromResult(service.Errors.Errors.Any(e => e.Contains("were left under an older data key", StringComparison.Ordinal))), "an error is logged");
        await service.ExpectMetricAsync("otp_keys_to_rewrap", 1);
        Assert.That(service.Errors.All, Does.Not.Contain(token.CredentialId).And.Not.Contain(victim));

        service.Clock.Advance(Grace * 2);
        await AllVerifyAsync(service, [customers[0], customers[2]]);
        Assert.That((await service.DataKeysAsync()).Select(k => k.Version), Does.Contain(1), "it is still needed, should the row be restored");

        await service.OverwriteKeyAsync(token, row.WrappedKey, row.KeyVersion);
        await RewrappedAsync(service);
        await AllVerifyAsync(service, [customers[1]]);
    }

    [Test]
    public async Task Rotation_DeliveredTwice_MakesOneKey()
    {
        var id = Calls.NewRequestId();
        var first = await service.Operations.RotateAsync(KeyKind.DataKey, id);

        var second = await service.Operations.RotateAsync(KeyKind.DataKey, id);
        var other = await Refusal.OfAsync(async () => await service.Operations.RotateAsync(KeyKind.Kek, id));

        Assert.That((second.Repeated, second.DecidedAt), Is.EqualTo((true, first.DecidedAt)));
        Assert.That(other.Code, Is.EqualTo(StatusCode.InvalidArgument));
        Assert.That((await service.DataKeysAsync()).Select(k => k.Version), Is.EqualTo(new[] { 1, 2, 3 }));
        Assert.That(await service.AuditOfAsync("RotateKeys"), Has.Count.EqualTo(1));
    }

    [Test]
    public async Task Rotations_AtTheSameMoment_MakeAKeyEachAndEndUnderTheNewest()
    {
        var customers = await RegisterAsync(service, 3);

        await Task.WhenAll(Enumerable.Range(0, 4).Select(async _ => await service.Operations.RotateAsync(KeyKind.DataKey)));

        Assert.That((await service.DataKeysAsync()).Select(k => k.Version), Is.EqualTo(new[] { 1, 2, 3, 4, 5, 6 }));
        await AllVerifyAsync(service, customers);
        service.Clock.Advance(Grace);
        await Eventually.IsTrueAsync(async () => (await service.DataKeysAsync()).Select(k => k.Version).SequenceEqual([2, 6]), "only the newest is left");
        await AllVerifyAsync(service, customers);
    }

    [Test]
    public async Task Replicas_OnOneDatabase_VerifyAtOnceWhatTheOtherHasIssuedUnderTheNewKey()
    {
        Assume.That(store, Is.Not.EqualTo(StoreKind.Sqlite), "SQLite has one replica.");
        await using var other = await OtpService.StartAsync(stores, service.Clock);
        var customers = await RegisterAsync(other, 3);

        await service.Operations.RotateAsync(KeyKind.DataKey);
        var issued = await service.RegisteredAsync();

        await AllVerifyAsync(other, [issued, .. customers]);
        await RewrappedAsync(service);
        await other.ExpectMetricAsync("otp_keys_to_rewrap", 0);
        var late = await other.RegisteredAsync();
        Assert.That((await service.CredentialAsync(late.Token)).KeyVersion, Is.EqualTo(3));
        Assert.That((await other.Operations.KeyStatusAsync()).DataKeys, Is.EqualTo((await service.Operations.KeyStatusAsync()).DataKeys));
        service.Clock.Advance(Grace);
        await Eventually.IsTrueAsync(async () => (await other.DataKeysAsync()).Select(k => k.Version).SequenceEqual([2, 3]), "one of them removes the old one");
        await AllVerifyAsync(service, [late, .. customers]);
        service.Clock.Advance(TimeSpan.FromSeconds(60));
        await AllVerifyAsync(other, [late, issued, .. customers]);
    }

    [Test]
    public async Task Service_KilledInTheMiddle_FinishesAfterItsRestart()
    {
        const int many = 3_000;
        await service.Operations.ImportPskcAsync(
            PskcFiles.WithPlainKeys([.. Enumerable.Range(0, many).Select(i => ($"KILL{i:D8}", RandomNumberGenerator.GetBytes(20)))]));
        var total = (await service.Operations.KeyStatusAsync()).Credentials;
        await service.DisposeAsync();

        long left;
        await using (var killed = await ServiceProcess.StartAsync(stores))
        {
            await killed.Operations.RotateAsync(KeyKind.DataKey);
            await Eventually.IsTrueAsync(async () => (await killed.Operations.KeyStatusAsync()).ToRewrap < total - 100, "it is under way");
            left = (await killed.Operations.KeyStatusAsync()).ToRewrap;
        }

        Assert.That(left, Is.Positive, "it was killed in the middle");
        service = await OtpService.StartAsync(stores);
        var found = await service.Operations.KeyStatusAsync();
        Assert.That((found.Credentials, found.ToRewrap), Is.EqualTo((total, found.ToRewrap)));
        Assert.That(found.ToRewrap, Is.InRange(1, left));
        await RewrappedAsync(service);
        var token = await service.Operations.IssueAsync();
        Assert.That((await service.CredentialAsync(token)).KeyVersion, Is.EqualTo(3));
    }

    private static async Task<(string Contractor, SoftToken Token)[]> RegisterAsync(OtpService replica, int count)
    {
        var registered = new List<(string, SoftToken)>();
        for (var i = 0; i < count; i++)
        {
            registered.Add(await replica.RegisteredAsync());
        }

        return [.. registered];
    }

    private static async Task AllVerifyAsync(OtpService replica, IEnumerable<(string Contractor, SoftToken Token)> customers)
    {
        foreach (var (contractor, token) in customers)
        {
            Assert.That((await replica.Auth.VerifyAsync(contractor, token.At(replica.Clock.GetUtcNow()))).Outcome, Is.EqualTo(Outcome.Accepted));
        }
    }

    private static Task RewrappedAsync(OtpService replica) =>
        Eventually.IsTrueAsync(async () => (await replica.Operations.KeyStatusAsync()).ToRewrap == 0, "everything is under the newest data key", 60);
}
