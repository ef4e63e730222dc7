using System.Security.Cryptography;
using System.Text;
using OtpAuthService.Credentials;

namespace OtpAuthService.Tests.Credentials;

public sealed class VipReaderTests
{
    [Test]
    public void Read_RecordedAnswer_GivesItsKey() => Assert.That(Read(VipFiles.PublishedKey).Key, Is.EqualTo(VipFiles.RecordedKey));

    /// <summary>Nothing but the padding and the key's length tells a wrong key: of the padding alone, one in 256 is right.</summary>
    [Test]
    public void Read_WithWrongKeys_IsAlwaysRefused()
    {
        for (var i = 0; i < 5_000; i++)
        {
            var wrong = SHA256.HashData(BitConverter.GetBytes(i))[..16];
            var refusal = Assert.Throws<RefusedFileException>(() => Read(wrong), $"key {i}");
            Assert.That(refusal.Message, Does.StartWith("Answer 1 ('VSST26070843') at line 1 cannot be decrypted to a key of 160 bits: "));
        }
    }

    private static SuppliedCredential Read(byte[] key)
    {
        using var digest = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        using var upload = new UploadedFile(PiecesOf(Encoding.UTF8.GetBytes(VipFiles.Recorded)).GetAsyncEnumerator(), digest);
        using var secrets = new FileSecrets([.. key], []);
        var entry = VipReader.ReadAsync(upload, secrets, CancellationToken.None).ToBlockingEnumerable().Single();
        return entry.Credential ?? throw entry.Refusal!;
    }

    private static async IAsyncEnumerable<ReadOnlyMemory<byte>> PiecesOf(byte[] file)
    {
        yield return file;
        await Task.CompletedTask;
    }
}
