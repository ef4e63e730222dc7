using System.Security.Cryptography;
using OtpAuthService.Keys;
using OtpAuthService.Tests.Fixtures;

namespace OtpAuthService.Tests.Keys;

/// <summary>What every provider promises (<see cref="IKekProvider"/>): one body on each of them.</summary>
[TestFixture(KekKind.File)]
[TestFixture(KekKind.Pkcs11)]
[TestFixture(KekKind.Transit)]
internal sealed class KekProviderTests(KekKind kind)
{
    private static readonly byte[] AssociatedData = "data key 1"u8.ToArray();

    private KeysUnderTest keys = null!;
    private IKekProvider provider = null!;

    [SetUp]
    public async Task StartAsync()
    {
        keys = await KeysUnderTest.StartAsync(kind);
        provider = keys.Open();
    }

    [TearDown]
    public async Task StopAsync()
    {
        provider.Dispose();
        await keys.DisposeAsync();
    }

    [Test]
    public async Task Newest_AskedTwiceAndByAnotherReplica_IsOneVersionWithAWellFormedName()
    {
        var version = await provider.NewestAsync(default);

        Assert.That(version, Does.Match("^[A-Za-z0-9:._-]{1,128}$"));
        Assert.That(await provider.NewestAsync(default), Is.EqualTo(version));
        Assert.That(await keys.Open().NewestAsync(default), Is.EqualTo(version));
    }

    [Test]
    public async Task Unwrap_OfWhatAnotherReplicaWrapped_IsTheKey()
    {
        var (version, key, wrapped) = await WrapNewAsync();

        Assert.That(await UnwrapAsync(keys.Open(), version, wrapped, AssociatedData), Is.EqualTo(key));
    }

    [Test]
    public async Task Wrap_OfOneKeyTwice_IsNeverTheSame()
    {
        var (version, key, wrapped) = await WrapNewAsync();

        var again = await provider.WrapAsync(version, key, AssociatedData, default);

        Assert.That(again, Is.Not.EqualTo(wrapped));
        Assert.That(wrapped.AsSpan().IndexOf(key), Is.Negative);
    }

    [Test]
    public async Task Unwrap_WithOtherAssociatedData_IsRefused([Values("data key 2", "data key", "")] string other)
    {
        var (version, _, wrapped) = await WrapNewAsync();

        await RefusesAsync(version, wrapped, System.Text.Encoding.ASCII.GetBytes(other));
    }

    [Test]
    public async Task Unwrap_OfWhatWasAlteredAnywhere_IsRefused()
    {
        var (version, _, wrapped) = await WrapNewAsync();

        foreach (var position in Enumerable.Range(0, wrapped.Length).Where(i => i % 7 == 0 || i == wrapped.Length - 1))
        {
            var altered = (byte[])wrapped.Clone();
            altered[position] ^= 1;
            await RefusesAsync(version, altered, AssociatedData);
        }
    }

    [Test]
    public async Task Unwrap_OfWhatIsTooShortOrTooLong_IsRefused()
    {
        var (version, _, wrapped) = await WrapNewAsync();

        await RefusesAsync(version, [], AssociatedData);
        await RefusesAsync(version, wrapped[..^1], AssociatedData);
        await RefusesAsync(version, [.. wrapped, (byte)'A'], AssociatedData);
    }

    [Test]
    public async Task Unwrap_ByAVersionThatDoesNotExist_IsRefused()
    {
        var (version, _, wrapped) = await WrapNewAsync();

        foreach (var unknown in new[] { Following(version), version + "0", version.ToUpperInvariant(), "file:1", "transit:0", "" })
        {
            await RefusesAsync(unknown, wrapped, AssociatedData);
        }
    }

    [Test]
    public async Task Unwrap_AfterARefusal_StillOpensWhatIsGood()
    {
        var (version, key, wrapped) = await WrapNewAsync();
        await RefusesAsync(version, wrapped, "other"u8.ToArray());

        Assert.That(await UnwrapAsync(provider, version, wrapped, AssociatedData), Is.EqualTo(key));
    }

    [Test]
    public async Task Wrap_ByAVersionThatDoesNotExist_IsUnavailable()
    {
        var version = Following(await provider.NewestAsync(default));

        await Assert.ThatAsync(
            async () => await provider.WrapAsync(version, RandomNumberGenerator.GetBytes(32), AssociatedData, default), Throws.TypeOf<KekUnavailableException>());
    }

    [Test]
    public async Task Advance_OnTheNewest_MakesOneThatIsTheNewestEverywhere()
    {
        var other = keys.Open();
        var first = await other.NewestAsync(default);
        keys.LayReady();

        var second = await provider.AdvanceAsync(first, default);

        Assert.That(second, Is.Not.EqualTo(first));
        Assert.That(await other.NewestAsync(default), Is.EqualTo(second));
    }

    [Test]
    public async Task Advance_WhereANewerOneIsThere_TakesThatOne()
    {
        var first = await provider.NewestAsync(default);
        keys.LayReady();
        var second = await provider.AdvanceAsync(first, default);

        Assert.That(await keys.Open().AdvanceAsync(first, default), Is.EqualTo(second));
        Assert.That(await provider.AdvanceAsync("of another provider", default), Is.EqualTo(second));
    }

    [Test]
    public async Task Unwrap_AfterAdvance_OpensWhatEveryVersionWrapped()
    {
        var (first, oldKey, oldWrapped) = await WrapNewAsync();
        keys.LayReady();
        var second = await provider.AdvanceAsync(first, default);
        var (newest, newKey, newWrapped) = await WrapNewAsync();

        Assert.That(newest, Is.EqualTo(second));
        Assert.That(await UnwrapAsync(provider, first, oldWrapped, AssociatedData), Is.EqualTo(oldKey));
        Assert.That(await UnwrapAsync(provider, second, newWrapped, AssociatedData), Is.EqualTo(newKey));
        await RefusesAsync(first, newWrapped, AssociatedData);
        await RefusesAsync(second, oldWrapped, AssociatedData);
    }

    [Test]
    public async Task Unwrap_AfterTheVersionWasRemoved_IsRefusedAndOthersOpen()
    {
        var (first, _, oldWrapped) = await WrapNewAsync();
        keys.LayReady();
        await provider.AdvanceAsync(first, default);
        var (second, newKey, newWrapped) = await WrapNewAsync();

        await keys.RemoveFirstAsync();

        await RefusesAsync(first, oldWrapped, AssociatedData);
        Assert.That(await UnwrapAsync(provider, second, newWrapped, AssociatedData), Is.EqualTo(newKey));
    }

    [Test]
    public async Task Calls_WhileTheKeysAreAway_AreUnavailableAndSucceedAfterwards()
    {
        var (version, key, wrapped) = await WrapNewAsync();

        await keys.TakeAwayAsync();
        await Assert.ThrowsAsync<KekUnavailableException>(async () => await provider.NewestAsync(default));
        await Assert.ThrowsAsync<KekUnavailableException>(async () => await provider.AdvanceAsync(version, default));
        await Assert.ThrowsAsync<KekUnavailableException>(async () => await provider.WrapAsync(version, key, AssociatedData, default));
        await Assert.ThrowsAsync<KekUnavailableException>(async () => await UnwrapAsync(provider, version, wrapped, AssociatedData));
        await Assert.ThrowsAsync<KekUnavailableException>(async () => await provider.SignAsync(AssociatedData, default));
        await keys.BringBackAsync();

        Assert.That(await UnwrapAsync(provider, version, wrapped, AssociatedData), Is.EqualTo(key));
    }

    [Test]
    public async Task Sign_OfContent_IsCheckedByThePublicKeyBesideIt()
    {
        var content = RandomNumberGenerator.GetBytes(1000);

        var signature = await provider.SignAsync(content, default);

        using var ecdsa = ECDsa.Create();
        ecdsa.ImportSubjectPublicKeyInfo(signature.PublicKey, out var read);
        Assert.That(read, Is.EqualTo(signature.PublicKey.Length));
        Assert.That(ecdsa.KeySize, Is.EqualTo(256));
        Assert.That(signature.Value, Has.Length.EqualTo(64));
        Assert.That(ecdsa.VerifyData(content, signature.Value, HashAlgorithmName.SHA256), Is.True);
        content[^1] ^= 1;
        Assert.That(ecdsa.VerifyData(content, signature.Value, HashAlgorithmName.SHA256), Is.False);
    }

    [Test]
    public async Task Sign_ByTwoReplicas_IsByOneKey()
    {
        var one = await provider.SignAsync("head"u8.ToArray(), default);
        var other = await keys.Open().SignAsync(Array.Empty<byte>(), default);

        Assert.That(other.PublicKey, Is.EqualTo(one.PublicKey));
    }

    [Test]
    public async Task Calls_ManyAtOnce_AllSucceed()
    {
        var version = await provider.NewestAsync(default);
        var other = keys.Open();

        await Task.WhenAll(Enumerable.Range(0, 32).Select(async i =>
        {
            var turn = i % 2 == 0 ? provider : other;
            var key = RandomNumberGenerator.GetBytes(32);
            var wrapped = await turn.WrapAsync(version, key, AssociatedData, default);
            Assert.That(await UnwrapAsync(turn, version, wrapped, AssociatedData), Is.EqualTo(key));
        }));
    }

    [Test]
    public async Task Call_WithACancelledToken_IsCancelled() =>
        await Assert.ThatAsync(async () => await provider.NewestAsync(new CancellationToken(canceled: true)), Throws.InstanceOf<OperationCanceledException>());

    private async Task<(string Version, byte[] Key, byte[] Wrapped)> WrapNewAsync()
    {
        var version = await provider.NewestAsync(default);
        var key = RandomNumberGenerator.GetBytes(32);
        return (version, key, await provider.WrapAsync(version, key, AssociatedData, default));
    }

    private static async Task<byte[]> UnwrapAsync(IKekProvider provider, string version, byte[] wrapped, byte[] associatedData)
    {
        var key = new byte[32];
        await provider.UnwrapAsync(version, wrapped, associatedData, key, default);
        return key;
    }

    private async Task RefusesAsync(string version, byte[] wrapped, byte[] associatedData)
    {
        var key = new byte[32];
        await Assert.ThatAsync(
            async () => await provider.UnwrapAsync(version, wrapped, associatedData, key, default),
            Throws.InstanceOf<CryptographicException>(),
            $"{version} {Convert.ToHexStringLower(wrapped)}");
        Assert.That(key, Is.All.Zero, "nothing is handed out");
    }

    /// <summary>The last character is a hexadecimal digit in every provider's names, and versions of a test are few.</summary>
    private static string Following(string version) => version[..^1] + (version[^1] == '9' ? "8" : "9");
}
