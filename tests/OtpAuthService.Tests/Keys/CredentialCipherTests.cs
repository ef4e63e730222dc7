using System.Security.Cryptography;
using OtpAuthService.Credentials;
using OtpAuthService.Keys;
using OtpAuthService.V1;
using DataKey = OtpAuthService.Keys.DataKey;

namespace OtpAuthService.Tests.Keys;

[TestFixture]
public class CredentialCipherTests
{
    private static readonly byte[] Key = RandomNumberGenerator.GetBytes(20);

    private const string Id = "ABCD00000001";

    private readonly RandomNumberGenerator nonces = RandomNumberGenerator.Create();
    private readonly PinnedKey dataKey = NewDataKey();

    [OneTimeTearDown]
    public void ForgetKeys()
    {
        dataKey.Dispose();
        nonces.Dispose();
    }

    [Test]
    public void Unwrap_AsItWasWrapped_GivesTheKey()
    {
        using var key = Unwrap(Wrap());
        Assert.That(key.Bytes.ToArray(), Is.EqualTo(Key));
    }

    [Test]
    public void Wrap_SameKeyTwice_LooksDifferent()
    {
        var first = Wrap();
        Assert.That(Wrap(), Is.Not.EqualTo(first));
    }

    [Test]
    public void Unwrap_MovedToAnotherCredential_IsRefused() => ExpectRefused(Wrap(), id: "ABCD00000002");

    [Test]
    public void Unwrap_OtherKeyVersion_IsRefused() => ExpectRefused(Wrap(), version: 2);

    [Test]
    public void Unwrap_OtherAlgorithm_IsRefused() => ExpectRefused(Wrap(), algorithm: Algorithm.Sha256);

    [Test]
    public void Unwrap_AnyByteAltered_IsRefused()
    {
        var wrapped = Wrap();
        for (var i = 0; i < wrapped.Length; i++)
        {
            var altered = wrapped.ToArray();
            altered[i] ^= 1;
            ExpectRefused(altered);
        }
    }

    [Test]
    public void Unwrap_Truncated_IsRefused() => ExpectRefused(Wrap()[..28]);

    [Test]
    public void Unwrap_OtherDataKey_IsRefused()
    {
        var wrapped = Wrap();
        using var other = NewDataKey();
        Assert.That(() => CredentialCipher.Unwrap(other, 1, wrapped, CredentialId.Parse(Id), Algorithm.Sha1), Throws.InstanceOf<CryptographicException>());
    }

    /// <summary>One cipher object shared by threads once gave wrong results here.</summary>
    [Test]
    public void Unwrap_ByManyThreads_GivesTheKeyEachTime()
    {
        var wrapped = Wrap();
        Parallel.For(0, 20_000, _ =>
        {
            using var key = Unwrap(wrapped);
            if (!key.Bytes.SequenceEqual(Key))
            {
                throw new InvalidOperationException("another key");
            }
        });
    }

    private static PinnedKey NewDataKey()
    {
        var key = new PinnedKey(DataKey.SizeInBytes);
        RandomNumberGenerator.Fill(key.Bytes);
        return key;
    }

    private byte[] Wrap(string id = Id, int version = 1, Algorithm algorithm = Algorithm.Sha1) =>
        CredentialCipher.Wrap(dataKey, version, Key, CredentialId.Parse(id), algorithm, nonces);

    private PinnedKey Unwrap(byte[] wrapped, string id = Id, int version = 1, Algorithm algorithm = Algorithm.Sha1) =>
        CredentialCipher.Unwrap(dataKey, version, wrapped, CredentialId.Parse(id), algorithm);

    private void ExpectRefused(byte[] wrapped, string id = Id, int version = 1, Algorithm algorithm = Algorithm.Sha1) =>
        Assert.That(() => Unwrap(wrapped, id, version, algorithm), Throws.InstanceOf<CryptographicException>());
}
