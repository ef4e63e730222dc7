using Microsoft.Extensions.DependencyInjection;
using OtpAuthService.Bindings;
using OtpAuthService.Credentials;
using OtpAuthService.Hosting;
using OtpAuthService.Institutions;
using OtpAuthService.Keys;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;
using StatusCode = Grpc.Core.StatusCode;

namespace OtpAuthService.Tests.Keys;

/// <summary>The service and whoever keeps its KEK: nothing opens without it, and its absence is never a wrong OTP (promises P3 and P7).</summary>
[TestFixture(StoreKind.Sqlite, KekKind.File)]
[TestFixture(StoreKind.Sqlite, KekKind.Transit)]
[TestFixture(StoreKind.Postgres, KekKind.Pkcs11)]
[TestFixture(StoreKind.PostgresRedis, KekKind.File)]
[TestFixture(StoreKind.PostgresRedis, KekKind.Pkcs11)]
[TestFixture(StoreKind.PostgresRedis, KekKind.Transit)]
internal sealed class KeyCustodyTests(StoreKind store, KekKind kek)
{
    private static readonly TimeSpan Age = TimeSpan.FromMinutes(10);

    private static readonly string[] Settings = [$"--OtpAuth:DataKeyAge={Age}"];

    private KeysUnderTest keys = null!;
    private StoresUnderTest stores = null!;
    private OtpService service = null!;

    [SetUp]
    public async Task StartAsync()
    {
        keys = await KeysUnderTest.StartAsync(kek);
        stores = await StoresUnderTest.CreateAsync(store, keys: keys);
        service = await OtpService.StartAsync(stores, settings: Settings);
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
    public async Task Verify_AfterRestart_Accepts()
    {
        var (contractor, token) = await service.RegisteredAsync();

        await RestartAsync();

        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
        Assert.That((await service.DataKeysAsync()).Select(k => (int)k.Use), Is.EqualTo(new[] { 1, 2 }), "made once");
    }

    [Test]
    public async Task Start_WithKeysOfAnotherPlace_IsRefusedWithASentence()
    {
        await using var others = await KeysUnderTest.StartAsync(kek);

        var refused = await Assert.ThrowsAsync<StartRefusedException>(
            () => OtpService.StartAsync(stores, settings: [.. others.Settings.Select(setting => $"--{setting.Key}={setting.Value}")]));

        Assert.That(refused!.Message, Does.StartWith("The KEK does not open the stored keys").And.EndWith("do not make a new one."));
    }

    [Test]
    public async Task Start_WhileTheKeysAreAway_IsRefusedWithASentenceAndWorksAfterwards()
    {
        await keys.TakeAwayAsync();
        try
        {
            // Both are what Program.cs prints before it ends with 1.
            await Assert.ThatAsync(() => OtpService.StartAsync(stores), kek == KekKind.File
                ? Throws.InstanceOf<InvalidDataException>().With.Message.Contains("does not exist. Make one with")
                : Throws.InstanceOf<StartRefusedException>().With.Message.StartsWith("The KEK provider cannot be used: "));
        }
        finally
        {
            await keys.BringBackAsync();
        }

        await RestartAsync();
    }

    [Test]
    public async Task KeysAway_UntilTheDataKeysAreTooOld_EverybodyGoesOn()
    {
        var (known, knownToken) = await service.RegisteredAsync();
        var (stranger, strangerToken) = await service.RegisteredAsync();
        Assert.That((await service.Auth.VerifyAsync(known, knownToken.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));

        await keys.TakeAwayAsync();
        service.Clock.Advance(Age * 0.6);
        await service.ExpectMetricAsync("otp_keys_kek_reachable", 0);

        Assert.That((await service.Auth.VerifyAsync(known, knownToken.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
        Assert.That((await service.Auth.VerifyAsync(stranger, strangerToken.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
        await keys.BringBackAsync();
    }

    [Test]
    public async Task KeysAway_LongerThanDataKeysAreKept_EverythingIsUnavailableAndNothingIsCountedOrKept()
    {
        var (contractor, token) = await service.RegisteredAsync();
        var spare = await service.Operations.IssueAsync();
        Assert.That((await service.Auth.VerifyAsync(contractor, token.WrongAt(Now))).AttemptsLeft, Is.EqualTo(4));
        var (other, otherToken) = await service.RegisteredAsync();
        Assert.That((await service.Auth.VerifyAsync(other, otherToken.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
        var (dataKey, credentialKey) = await KeysInMemoryAsync(other);
        Assert.That(IsZero(dataKey) || IsZero(credentialKey), Is.False);

        await keys.TakeAwayAsync();
        service.Clock.Advance(Age);
        // The background finds out within a second of real time.
        await Eventually.IsTrueAsync(() => Task.FromResult(IsZero(dataKey) && IsZero(credentialKey)), "no key is left in memory");
        await service.ExpectMetricAsync("otp_keys_kek_reachable", 0);
        using var http = new HttpClient();
        Assert.That((await http.GetAsync(service.ManagementAddress + "/health/ready")).IsSuccessStatusCode, Is.False, "not ready");
        var before = await service.TracesAsync();

        await IsUnavailableAsync(async () => await service.Auth.VerifyAsync(contractor, token.At(Now)));
        await IsUnavailableAsync(async () => await service.Auth.VerifyAsync(contractor, token.WrongAt(Now)));
        await IsUnavailableAsync(async () => await service.Auth.VerifyAsync(other, otherToken.At(Now)));
        await IsUnavailableAsync(async () => await service.Auth.SuspendAsync(contractor, token.At(Now)));
        await IsUnavailableAsync(async () => await service.Auth.RegisterAsync(Calls.NewContractor(), spare.CredentialId, spare.At(Now)));
        await IsUnavailableAsync(async () => await service.Operations.IssueAsync());
        await IsUnavailableAsync(async () => await service.Operations.RotateAsync(KeyKind.DataKey));
        await IsUnavailableAsync(async () => await service.Operations.RotateAsync(KeyKind.Kek));
        Assert.That(await service.TracesAsync(), Is.EqualTo(before));
        Assert.That((await service.Operations.KeyStatusAsync()).NewestKek, Is.Empty);

        await keys.BringBackAsync();
        await service.ExpectMetricAsync("otp_keys_kek_reachable", 1);
        Assert.That((await service.Auth.VerifyAsync(contractor, token.WrongAt(Now))).AttemptsLeft, Is.EqualTo(3), "only OTPs that were held against the key are counted");
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
        Assert.That((await service.Auth.VerifyAsync(other, otherToken.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
        await service.Operations.IssueAsync();
    }

    private async Task RestartAsync()
    {
        var clock = service.Clock;
        await service.DisposeAsync();
        service = await OtpService.StartAsync(stores, clock, Settings);
    }

    private async Task<(PinnedKey DataKey, PinnedKey CredentialKey)> KeysInMemoryAsync(string contractor)
    {
        var (_, dataKey) = await service.Services.GetRequiredService<DataKeys>().HoldNewestAsync(default);
        dataKey.Dispose();
        var who = new ContractorRef(InstitutionId.Parse("demo"), ContractorId.Parse(contractor));
        Assert.That(service.Services.GetRequiredService<CredentialKeyCache>().TryGet(who, out var bound), Is.True);
        bound!.Dispose();
        return (dataKey, bound.Credential.Key);
    }

    private static bool IsZero(PinnedKey key) => key.Bytes.IndexOfAnyExcept((byte)0) < 0;

    private static async Task IsUnavailableAsync(Func<Task> call)
    {
        var refused = await Refusal.OfAsync(call);
        Assert.That((refused.Code, refused.Info?.Reason), Is.EqualTo((StatusCode.Unavailable, "KEYS_UNAVAILABLE")), refused.Text);
        Assert.That(refused.RetryDelay, Is.GreaterThan(TimeSpan.Zero));
    }
}
