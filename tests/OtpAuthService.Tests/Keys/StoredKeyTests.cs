using System.Security.Cryptography;
using System.Text;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.EntityFrameworkCore.Migrations;
using Microsoft.Extensions.DependencyInjection;
using OtpAuthService.Credentials;
using OtpAuthService.Keys;
using OtpAuthService.Storage;
using OtpAuthService.Tests.Credentials;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;
using OtpNet;
using DataKey = OtpAuthService.Keys.DataKey;
using StatusCode = Grpc.Core.StatusCode;

namespace OtpAuthService.Tests.Keys;

/// <summary>Credential keys as they lie in the database: altered, wrapped with a nonce that came before, or left by a version before data keys.</summary>
[TestFixture(StoreKind.Sqlite)]
[TestFixture(StoreKind.Postgres)]
[TestFixture(StoreKind.PostgresRedis)]
internal sealed class StoredKeyTests(StoreKind store)
{
    private StoresUnderTest stores = null!;
    private OtpService service = null!;
    private int refused;

    [SetUp]
    public async Task StartAsync()
    {
        refused = 0;
        stores = await StoresUnderTest.CreateAsync(store);
        service = await OtpService.StartAsync(stores);
    }

    [TearDown]
    public async Task StopAsync()
    {
        await service.DisposeAsync();
        stores.Dispose();
    }

    private DateTimeOffset Now => service.Clock.GetUtcNow();

    private string KekFile => stores.Settings.TryGetValue("OtpAuth:KekFile", out var path) ? path : Path.Combine(stores.Settings["OtpAuth:DataFolder"], "kek");

    [Test]
    public async Task Verify_OfAKeyWithOneByteAltered_IsAnErrorAndNoGuess([Values("nonce", "tag", "ciphertext")] string part)
    {
        var (contractor, token) = await service.RegisteredAsync();
        var credential = await service.CredentialAsync(token);
        var altered = (byte[])credential.WrappedKey.Clone();
        altered[part switch { "nonce" => 3, "tag" => 12, _ => ^1 }] ^= 1;

        await service.OverwriteKeyAsync(token, altered, credential.KeyVersion);

        await IsRefusedUncountedAsync(contractor, token);
        await service.OverwriteKeyAsync(token, credential.WrappedKey, credential.KeyVersion);
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    [Test]
    public async Task Verify_OfKeysExchangedBetweenTwoCredentials_IsAnErrorAndNoGuess()
    {
        var (one, oneToken) = await service.RegisteredAsync();
        var (other, otherToken) = await service.RegisteredAsync();
        var (oneRow, otherRow) = (await service.CredentialAsync(oneToken), await service.CredentialAsync(otherToken));

        await service.OverwriteKeyAsync(oneToken, RandomNumberGenerator.GetBytes(48), 1);
        await service.OverwriteKeyAsync(otherToken, oneRow.WrappedKey, 1);
        await service.OverwriteKeyAsync(oneToken, otherRow.WrappedKey, 1);

        await IsRefusedUncountedAsync(one, oneToken);
        await IsRefusedUncountedAsync(other, otherToken);
        // What the thief of a token wants of it: that it opens somebody else's account.
        await IsRefusedUncountedAsync(one, otherToken);
    }

    /// <summary>2 is the service key: a row that is there, but wraps no credential.</summary>
    [Test]
    public async Task Verify_OfAKeyUnderAnotherVersion_IsAnErrorAndNoGuess()
    {
        var (contractor, token) = await service.RegisteredAsync();
        var credential = await service.CredentialAsync(token);

        await service.OverwriteKeyAsync(token, credential.WrappedKey, 2);

        await IsRefusedUncountedAsync(contractor, token);
    }

    [Test]
    public async Task KeyVersion_ThatDoesNotExist_IsRefusedByPostgresItself()
    {
        Assume.That(store, Is.Not.EqualTo(StoreKind.Sqlite), "SQLite has no such constraint; there the service finds out.");
        var (_, token) = await service.RegisteredAsync();
        var credential = await service.CredentialAsync(token);

        await Assert.ThatAsync(() => service.OverwriteKeyAsync(token, credential.WrappedKey, 99), Throws.InstanceOf<Exception>().With.Message.Contains("fk_credentials_data_keys"));
    }

    [Test]
    public async Task IssueAndImport_WhoseNoncesRepeat_FailAndStoreNothing()
    {
        await service.DisposeAsync();
        using var stuck = new StuckGenerator();
        service = await OtpService.StartAsync(stores, clock: null, services => services.AddSingleton<RandomNumberGenerator>(stuck));
        await service.Operations.IssueAsync();
        var before = await service.TracesAsync();

        var issuing = await Refusal.OfAsync(async () => await service.Operations.IssueAsync());
        var importing = await Refusal.OfAsync(async () => await service.Operations.ImportPskcAsync(
            PskcFiles.WithPlainKeys(("ABCD00000001", RandomNumberGenerator.GetBytes(20)), ("ABCD00000002", RandomNumberGenerator.GetBytes(20)))));

        // Each is tried again as a lost race is, until its attempts or its time are used up.
        Assert.That(new[] { issuing.Code, importing.Code }, Is.All.AnyOf(StatusCode.Internal, StatusCode.Unavailable));
        Assert.That(await service.TracesAsync(), Is.EqualTo(before));
        Assert.That(stuck.Draws, Is.GreaterThan(3), "it was this generator");
    }

    [Test]
    public async Task Database_OfTheVersionBeforeDataKeys_GoesOnAndIsRotatedAwayFromTheKek()
    {
        var (contractor, token) = await service.RegisteredAsync();
        var clock = service.Clock;
        using var kek = new PinnedKey(DataKey.SizeInBytes);
        using (var file = new FileKek(KekFile))
        {
            file.CopyOldest(kek.Bytes);
        }

        await MakeOldAsync(kek);
        await service.DisposeAsync();

        service = await OtpService.StartAsync(stores, clock);
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
        Assert.That(
            service.Services.GetRequiredService<DataKeys>().Derive("otpauth.v1 request fingerprint"),
            Is.EqualTo(HKDF.DeriveKey(HashAlgorithmName.SHA256, kek.Bytes.ToArray(), 32, info: Encoding.UTF8.GetBytes("otpauth.v1 request fingerprint"))),
            "retries over the upgrade are known");

        await service.Operations.RotateAsync(KeyKind.DataKey);
        service.Clock.Advance(TimeSpan.FromMinutes(2));
        await Eventually.IsTrueAsync(async () => (await service.DataKeysAsync()).TrueForAll(k => k.Version != 1), "the KEK wraps no credential any more");
        var credential = await service.CredentialAsync(token);
        Assert.That(credential.KeyVersion, Is.EqualTo(3));
        Assert.That(
            () => CredentialCipher.Unwrap(kek, 3, credential.WrappedKey, credential.CredentialId, credential.Algorithm), Throws.InstanceOf<CryptographicException>());
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    [Test]
    public async Task Database_OfTheVersionBeforeDataKeysWithAnotherKek_RefusesTheCredentialsKeys()
    {
        var (contractor, token) = await service.RegisteredAsync();
        var clock = service.Clock;
        using var other = new PinnedKey(DataKey.SizeInBytes);
        RandomNumberGenerator.Fill(other.Bytes);
        await MakeOldAsync(other);
        await service.DisposeAsync();

        await Assert.ThatAsync(
            () => OtpService.StartAsync(stores, clock), Throws.InstanceOf<OtpAuthService.Hosting.StartRefusedException>().With.Message.Contains("does not open the stored keys"));
        await File.WriteAllTextAsync(KekFile, Convert.ToBase64String(other.Bytes));
        service = await OtpService.StartAsync(stores, clock);
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted), "the wrong one has left nothing behind");
    }

    /// <summary>The schema as it was, with keys as they were wrapped: by the KEK itself.</summary>
    private async Task MakeOldAsync(PinnedKey kek)
    {
        using var nonces = RandomNumberGenerator.Create();
        await using var db = service.Services.GetRequiredService<StoreSet>().CreateContext();
        var keyed = new List<(long Id, byte[] Wrapped)>();
        foreach (var credential in await db.Credentials.AsNoTracking().ToListAsync())
        {
            using var key = await service.Services.GetRequiredService<KeyWrapping>().UnwrapAsync(credential, default);
            keyed.Add((credential.Id, CredentialCipher.Wrap(kek, 1, key.Bytes, credential.CredentialId, credential.Algorithm, nonces)));
        }

        // While it runs down, the running service must not touch anything.
        foreach (var hosted in service.Services.GetServices<Microsoft.Extensions.Hosting.IHostedService>().OfType<Rewrapping>())
        {
            await hosted.StopAsync(default);
        }

        await db.GetService<IMigrator>().MigrateAsync(db.Database.GetMigrations().Single(m => m.EndsWith("_LossReports", StringComparison.Ordinal)));
        foreach (var (id, wrapped) in keyed)
        {
            await db.Database.ExecuteSqlAsync($"UPDATE credentials SET wrapped_key = {wrapped}, key_version = 1 WHERE id = {id}");
        }
    }

    private async Task IsRefusedUncountedAsync(string contractor, SoftToken token)
    {
        service.Errors.Clear();
        var before = await service.TracesAsync();
        var answer = await Refusal.OfAsync(async () => await service.Auth.VerifyAsync(contractor, token.At(Now)));

        Assert.That((answer.Code, answer.Info?.Reason), Is.EqualTo((StatusCode.DataLoss, "STORED_KEY_UNUSABLE")));
        Assert.That(await service.TracesAsync(), Is.EqualTo(before), "nothing is decided or counted");
        Assert.That(service.Errors.Errors, Has.One.Contains("met a stored key that does not open"));
        refused++;
        // What is scraped may be a fraction of a second old.
        await Eventually.IsTrueAsync(async () => await EventsAsync() == refused, "security staff are told");
        foreach (var secret in new[] { contractor, token.CredentialId, Base32Encoding.ToString(token.Key), Convert.ToHexString(token.Key), Convert.ToBase64String(token.Key) })
        {
            Assert.That(service.Errors.All + answer.Text, Does.Not.Contain(secret).IgnoreCase);
        }

        // As a whole word: six digits also turn up inside ports and times.
        Assert.That(service.Errors.All + answer.Text, Does.Not.Match($"(?<![0-9a-fA-F]){token.At(Now)}(?![0-9a-fA-F])"));
    }

    private async Task<int> EventsAsync()
    {
        using var http = new HttpClient();
        var metrics = await http.GetStringAsync(service.ManagementAddress + "/metrics");
        var line = metrics.Split('\n').SingleOrDefault(l => l.StartsWith("otp_security_events_total{", StringComparison.Ordinal) && l.Contains("STORED_KEY_UNUSABLE", StringComparison.Ordinal));
        return line is null ? 0 : int.Parse(line.Split(' ')[1], System.Globalization.CultureInfo.InvariantCulture);
    }

    /// <summary>As of a virtual machine that was copied while it ran.</summary>
    private sealed class StuckGenerator : RandomNumberGenerator
    {
        public int Draws { get; private set; }

        public override void GetBytes(byte[] data)
        {
            Draws++;
            Array.Fill(data, (byte)7);
        }
    }
}
