using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;

namespace OtpAuthService.Credentials;

/// <summary>The key-encryption key: wraps credential keys and is never in the database. 256 bits, read from a file once at start.</summary>
internal sealed class Kek
{
    public const int SizeInBytes = 32;

    private readonly byte[] key;

    private Kek(byte[] key) => this.key = key;

    /// <summary>Reads a file that holds 32 bytes in Base64, as <c>openssl rand -base64 32</c> prints them.</summary>
    /// <exception cref="InvalidDataException">The file is missing or holds something else.</exception>
    public static Kek Read(string path)
    {
        if (!File.Exists(path))
        {
            throw new InvalidDataException(
                $"The KEK file {path} does not exist. Make one with 'openssl rand -base64 32 > {path}' and keep a copy in a safe place: without it no credential can be used.");
        }

        var key = new byte[SizeInBytes];
        var text = File.ReadAllText(path).AsSpan().Trim();
        return Convert.TryFromBase64Chars(text, key, out var length) && length == SizeInBytes && text.Length == Base64.GetMaxEncodedToUtf8Length(SizeInBytes)
            ? new Kek(key)
            : throw new InvalidDataException($"The KEK file {path} must hold exactly 32 bytes in Base64, as 'openssl rand -base64 32' prints them.");
    }

    /// <summary>Makes the file on the first start of the embedded default, readable by its owner only.</summary>
    public static void Create(string path)
    {
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows())
        {
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        }

        using var writer = new StreamWriter(path, options);
        writer.WriteLine(Convert.ToBase64String(RandomNumberGenerator.GetBytes(SizeInBytes)));
    }

    /// <summary>One for each use: an <see cref="AesGcm"/> that two threads share gives wrong results.</summary>
    public AesGcm CreateCipher() => new(key, KeyWrapping.TagSize);

    /// <summary>A key for another use, from which the KEK cannot be computed (HKDF, RFC 5869).</summary>
    public byte[] Derive(string use) => HKDF.DeriveKey(HashAlgorithmName.SHA256, key, SizeInBytes, info: Encoding.UTF8.GetBytes(use));
}
