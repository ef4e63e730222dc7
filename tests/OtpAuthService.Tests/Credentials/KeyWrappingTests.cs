using System.Security.Cryptography;
using OtpAuthService.Credentials;
using OtpAuthService.V1;
using Credential = OtpAuthService.Credentials.Credential;

namespace OtpAuthService.Tests.Credentials;

[TestFixture]
public class KeyWrappingTests
{
    private static readonly byte[] Key = RandomNumberGenerator.GetBytes(20);

    private string folder = null!;
    private KeyWrapping wrapping = null!;

    [SetUp]
    public void MakeKek()
    {
        folder = Directory.CreateTempSubdirectory("otpauth-kek-").FullName;
        wrapping = NewWrapping("kek");
    }

    [TearDown]
    public void RemoveKek() => Directory.Delete(folder, recursive: true);

    [Test]
    public void Unwrap_AsItWasWrapped_GivesTheKey()
    {
        using var key = wrapping.Unwrap(Wrapped());
        Assert.That(key.Buffer.ToArray(), Is.EqualTo(Key));
    }

    [Test]
    public void Wrap_SameKeyTwice_LooksDifferent()
    {
        var first = Wrapped().WrappedKey;
        Assert.That(Wrapped().WrappedKey, Is.Not.EqualTo(first));
    }

    [Test]
    public void Unwrap_MovedToAnotherCredential_IsRefused() => ExpectRefused(Wrapped("ABCD00000002", Wrapped().WrappedKey));

    [Test]
    public void Unwrap_OtherKeyVersion_IsRefused() => ExpectRefused(Wrapped(wrappedKey: Wrapped().WrappedKey, keyVersion: 2));

    [Test]
    public void Unwrap_OtherAlgorithm_IsRefused() => ExpectRefused(Wrapped(wrappedKey: Wrapped().WrappedKey, algorithm: Algorithm.Sha256));

    [Test]
    public void Unwrap_AnyByteAltered_IsRefused()
    {
        var wrapped = Wrapped().WrappedKey;
        for (var i = 0; i < wrapped.Length; i++)
        {
            var altered = wrapped.ToArray();
            altered[i] ^= 1;
            ExpectRefused(Wrapped(wrappedKey: altered));
        }
    }

    [Test]
    public void Unwrap_Truncated_IsRefused() => ExpectRefused(Wrapped(wrappedKey: Wrapped().WrappedKey[..28]));

    [Test]
    public void Unwrap_OtherKek_IsRefused()
    {
        var wrapped = Wrapped();
        Assert.That(() => NewWrapping("other").Unwrap(wrapped), Throws.InstanceOf<CryptographicException>());
    }

    /// <summary>One cipher object shared by threads once gave wrong results here.</summary>
    [Test]
    public void Unwrap_ByManyThreads_GivesTheKeyEachTime()
    {
        var wrapped = Wrapped();
        Parallel.For(0, 20_000, _ =>
        {
            using var key = wrapping.Unwrap(wrapped);
            if (!key.Buffer.SequenceEqual(Key))
            {
                throw new InvalidOperationException("another key");
            }
        });
    }

    [TestCase("")]
    [TestCase("not base64")]
    [TestCase("AAAA")]
    [TestCase("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")]
    public void Kek_FileWithSomethingElse_IsRefusedWithASentence(string content)
    {
        var path = Path.Combine(folder, "wrong");
        File.WriteAllText(path, content);
        Assert.That(() => Kek.Read(path), Throws.InstanceOf<InvalidDataException>().With.Message.Contains("openssl rand -base64 32"));
    }

    [Test]
    public void Kek_FileMade_IsReadableByItsOwnerOnly()
    {
        if (!OperatingSystem.IsWindows())
        {
            Assert.That(File.GetUnixFileMode(Path.Combine(folder, "kek")), Is.EqualTo(UnixFileMode.UserRead | UnixFileMode.UserWrite));
        }
    }

    private KeyWrapping NewWrapping(string name)
    {
        var path = Path.Combine(folder, name);
        Kek.Create(path);
        return new KeyWrapping(Kek.Read(path));
    }

    private Credential Wrapped(
        string id = "ABCD00000001", byte[]? wrappedKey = null, int keyVersion = KeyWrapping.FirstVersion, Algorithm algorithm = Algorithm.Sha1) => new()
    {
        CredentialId = CredentialId.Parse(id),
        WrappedKey = wrappedKey ?? wrapping.Wrap(Key, CredentialId.Parse(id), keyVersion, algorithm),
        KeyVersion = keyVersion,
        Algorithm = algorithm,
        Digits = 6,
        PeriodSeconds = 30,
        Supplier = "test",
        CreatedAt = DateTimeOffset.UnixEpoch,
    };

    private void ExpectRefused(Credential credential) =>
        Assert.That(() => wrapping.Unwrap(credential), Throws.InstanceOf<CryptographicException>());
}
