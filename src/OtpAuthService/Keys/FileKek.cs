using System.Buffers;
using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;

namespace OtpAuthService.Keys;

/// <summary>
/// KEKs in a file: a line of 32 bytes in Base64 for each version, the last line the newest. A version is called by a digest of its key, so that
/// replicas with different orders of lines mean the same. The key that signs comes from the newest KEK by derivation (HKDF, RFC 5869).
/// </summary>
internal sealed class FileKek : IKekProvider
{
    private const int TagSize = 16;
    private const int NonceSize = 12;

    private readonly string path;
    private volatile List<Version> versions;

    /// <exception cref="InvalidDataException">The file is missing, open to everyone on the machine, or holds something else.</exception>
    public FileKek(string path)
    {
        this.path = path;
        versions = Read(path);
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
        writer.WriteLine(Convert.ToBase64String(RandomNumberGenerator.GetBytes(DataKey.SizeInBytes)));
    }

    public ValueTask<string> NewestAsync(CancellationToken stop) => new(versions[^1].Name);

    public ValueTask<string> AdvanceAsync(string current, CancellationToken stop)
    {
        ReadAgain();
        return versions[^1].Name is var newest && newest != current
            ? new ValueTask<string>(newest)
            : throw new KekNotReadyException(
                $"The KEK file has no newer line. Add one to it on every replica with 'openssl rand -base64 32 >> {path}', then rotate; keep the old lines until the key status names none of them.");
    }

    public ValueTask<byte[]> WrapAsync(string version, ReadOnlyMemory<byte> key, ReadOnlyMemory<byte> associatedData, CancellationToken stop)
    {
        var wrapped = new byte[NonceSize + TagSize + key.Length];
        RandomNumberGenerator.Fill(wrapped.AsSpan(0, NonceSize));
        using var cipher = new AesGcm(Find(version).Key, TagSize);
        cipher.Encrypt(
            wrapped.AsSpan(0, NonceSize), key.Span, wrapped.AsSpan(NonceSize + TagSize), wrapped.AsSpan(NonceSize, TagSize), associatedData.Span);
        return new ValueTask<byte[]>(wrapped);
    }

    public ValueTask UnwrapAsync(
        string version, ReadOnlyMemory<byte> wrapped, ReadOnlyMemory<byte> associatedData, Memory<byte> key, CancellationToken stop)
    {
        if (wrapped.Length != NonceSize + TagSize + key.Length)
        {
            throw new CryptographicException("A wrapped data key has another length.");
        }

        var stored = wrapped.Span;
        using var cipher = new AesGcm(Find(version).Key, TagSize);
        cipher.Decrypt(
            stored[..NonceSize], stored[(NonceSize + TagSize)..], stored.Slice(NonceSize, TagSize), key.Span, associatedData.Span);
        return ValueTask.CompletedTask;
    }

    public ValueTask<KekSignature> SignAsync(ReadOnlyMemory<byte> content, CancellationToken stop)
    {
        using var signer = DeriveSigner(versions[^1].Key);
        return new ValueTask<KekSignature>(
            new KekSignature(signer.ExportSubjectPublicKeyInfo(), signer.SignData(content.Span, HashAlgorithmName.SHA256)));
    }

    /// <summary>The keys of all lines: a line that is taken out is no signer any more.</summary>
    public ValueTask<bool> IsSignerAsync(ReadOnlyMemory<byte> publicKey, CancellationToken stop) => new(versions.Exists(version =>
    {
        using var signer = DeriveSigner(version.Key);
        return signer.ExportSubjectPublicKeyInfo().AsSpan().SequenceEqual(publicKey.Span);
    }));

    /// <summary>
    /// The first KEK of the file, as the versions before data keys used it: on credential keys directly (<see cref="FirstDataKeys"/>).
    /// </summary>
    public void CopyOldest(Span<byte> key) => versions[0].Key.CopyTo(key);

    public void Dispose() => versions.ForEach(version => CryptographicOperations.ZeroMemory(version.Key));

    private Version Find(string name)
    {
        if (versions.Find(v => v.Name == name) is not { } known)
        {
            ReadAgain();
            known = versions.Find(v => v.Name == name) ?? throw new CryptographicException($"The KEK file holds no KEK {name}.");
        }

        return known;
    }

    private void ReadAgain()
    {
        try
        {
            versions = Read(path);
        }
        catch (Exception unusable) when (unusable is IOException or UnauthorizedAccessException or InvalidDataException)
        {
            throw new KekUnavailableException($"The KEK file cannot be read: {unusable.Message}", unusable);
        }
    }

    private static List<Version> Read(string path)
    {
        if (!File.Exists(path))
        {
            throw new InvalidDataException(
                $"The KEK file {path} does not exist. Make one with '(umask 077; openssl rand -base64 32 > {path})' and keep a copy in a safe place: without it no credential can be used.");
        }

        const UnixFileMode Others = UnixFileMode.GroupWrite | UnixFileMode.OtherRead | UnixFileMode.OtherWrite | UnixFileMode.OtherExecute;
        if (!OperatingSystem.IsWindows() && (File.GetUnixFileMode(path) & Others) != 0)
        {
            throw new InvalidDataException($"The KEK file {path} is open to others on this machine. Close it with 'chmod 600 {path}'; its group may read it.");
        }

        var content = File.ReadAllBytes(path);
        try
        {
            List<Version> read = [];
            foreach (var line in content.AsSpan().Split((byte)'\n'))
            {
                if (content.AsSpan(line).Trim(" \t\r"u8) is { IsEmpty: false } text)
                {
                    read.Add(Parse(text) ?? throw new InvalidDataException(Expected(path)));
                }
            }

            return read.Count > 0 ? read : throw new InvalidDataException(Expected(path));
        }
        finally
        {
            CryptographicOperations.ZeroMemory(content);
        }
    }

    private static Version? Parse(ReadOnlySpan<byte> line)
    {
        var key = GC.AllocateArray<byte>(DataKey.SizeInBytes, pinned: true);
        return line.Length == Base64.GetMaxEncodedToUtf8Length(key.Length)
            && Base64.DecodeFromUtf8(line, key, out _, out var length) == OperationStatus.Done && length == key.Length
            ? new Version("file:" + Convert.ToHexStringLower(Derive(key, "otpauth.v1 KEK name").AsSpan(0, 8)), key)
            : null;
    }

    private static string Expected(string path) =>
        $"The KEK file {path} must hold exactly 32 bytes in Base64 on each line, as 'openssl rand -base64 32' prints them.";

    /// <summary>The derived number is below the order of P-256 in all but one of 2³² KEKs, for which the import fails.</summary>
    private static ECDsa DeriveSigner(byte[] key) => ECDsa.Create(
        new ECParameters { Curve = ECCurve.NamedCurves.nistP256, D = Derive(key, "otpauth.v1 audit signing key") });

    private static byte[] Derive(byte[] key, string use) =>
        HKDF.DeriveKey(HashAlgorithmName.SHA256, key, DataKey.SizeInBytes, info: Encoding.UTF8.GetBytes(use));

    private sealed class Version(string name, byte[] key)
    {
        public string Name => name;

        public byte[] Key => key;
    }
}
