using System.Buffers;
using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;

namespace OtpAuthService.Keys;

/// <summary>
/// KEKs in a file: a line of 32 bytes in Base64 for each version, the last line the newest. A version is called by a digest of its key, so that
/// replicas with different orders of lines mean the same. The key that signs comes from the newest KEK by derivation (HKDF, RFC 5869). The file is
/// read for each use, and no KEK stays in memory: whoever takes the file away takes the KEK away, as with the other providers.
/// </summary>
internal sealed class FileKek : IKekProvider
{
    private const int TagSize = 16;
    private const int NonceSize = 12;

    private readonly string path;

    /// <exception cref="InvalidDataException">The file is missing, open to everyone on the machine, or holds something else.</exception>
    public FileKek(string path)
    {
        this.path = path;
        Read(path).Dispose();
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

    public ValueTask<string> NewestAsync(CancellationToken stop)
    {
        using var versions = Open(stop);
        return new ValueTask<string>(versions.Newest.Name);
    }

    public ValueTask<string> AdvanceAsync(string current, CancellationToken stop)
    {
        using var versions = Open(stop);
        return versions.Newest.Name is var newest && newest != current
            ? new ValueTask<string>(newest)
            : throw new KekNotReadyException(
                $"The KEK file has no newer line. Add one to it on every replica with 'openssl rand -base64 32 >> {path}', then rotate; keep the old lines until the key status names none of them.");
    }

    public ValueTask<byte[]> WrapAsync(string version, ReadOnlyMemory<byte> key, ReadOnlyMemory<byte> associatedData, CancellationToken stop)
    {
        using var versions = Open(stop);
        var kek = versions.Find(version) ?? throw new KekUnavailableException($"The KEK file holds no KEK {version}.");
        var wrapped = new byte[NonceSize + TagSize + key.Length];
        RandomNumberGenerator.Fill(wrapped.AsSpan(0, NonceSize));
        using var cipher = new AesGcm(kek.Key.Bytes, TagSize);
        cipher.Encrypt(
            wrapped.AsSpan(0, NonceSize), key.Span, wrapped.AsSpan(NonceSize + TagSize), wrapped.AsSpan(NonceSize, TagSize), associatedData.Span);
        return new ValueTask<byte[]>(wrapped);
    }

    public ValueTask UnwrapAsync(
        string version, ReadOnlyMemory<byte> wrapped, ReadOnlyMemory<byte> associatedData, Memory<byte> key, CancellationToken stop)
    {
        using var versions = Open(stop);
        var kek = versions.Find(version) ?? throw new CryptographicException($"The KEK file holds no KEK {version}.");
        if (wrapped.Length != NonceSize + TagSize + key.Length)
        {
            throw new CryptographicException("A wrapped data key has another length.");
        }

        var stored = wrapped.Span;
        using var cipher = new AesGcm(kek.Key.Bytes, TagSize);
        cipher.Decrypt(
            stored[..NonceSize], stored[(NonceSize + TagSize)..], stored.Slice(NonceSize, TagSize), key.Span, associatedData.Span);
        return ValueTask.CompletedTask;
    }

    public ValueTask<KekSignature> SignAsync(ReadOnlyMemory<byte> content, CancellationToken stop)
    {
        using var versions = Open(stop);
        using var signer = DeriveSigner(versions.Newest.Key);
        return new ValueTask<KekSignature>(
            new KekSignature(signer.ExportSubjectPublicKeyInfo(), signer.SignData(content.Span, HashAlgorithmName.SHA256)));
    }

    /// <summary>The keys of all lines: a line that is taken out is no signer any more.</summary>
    public ValueTask<bool> IsSignerAsync(ReadOnlyMemory<byte> publicKey, CancellationToken stop)
    {
        using var versions = Open(stop);
        return new ValueTask<bool>(versions.Exists(version =>
        {
            using var signer = DeriveSigner(version.Key);
            return signer.ExportSubjectPublicKeyInfo().AsSpan().SequenceEqual(publicKey.Span);
        }));
    }

    /// <summary>
    /// The first KEK of the file, as the versions before data keys used it: on credential keys directly (<see cref="FirstDataKeys"/>).
    /// </summary>
    /// <exception cref="KekUnavailableException">The file cannot be read.</exception>
    public void CopyOldest(Span<byte> key)
    {
        using var versions = Open(CancellationToken.None);
        versions.Oldest.Key.Bytes.CopyTo(key);
    }

    public void Dispose()
    {
        // Nothing is kept.
    }

    private Versions Open(CancellationToken stop)
    {
        stop.ThrowIfCancellationRequested();
        try
        {
            return Read(path);
        }
        catch (Exception unusable) when (unusable is IOException or UnauthorizedAccessException or InvalidDataException)
        {
            throw new KekUnavailableException($"The KEK file cannot be read: {unusable.Message}", unusable);
        }
    }

    private static Versions Read(string path)
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
            var read = new Versions();
            foreach (var line in content.AsSpan().Split((byte)'\n'))
            {
                if (content.AsSpan(line).Trim(" \t\r"u8) is { IsEmpty: false } text)
                {
                    read.Add(Parse(text) ?? throw new InvalidDataException(Expected(path)));
                }
            }

            return read.Any ? read : throw new InvalidDataException(Expected(path));
        }
        finally
        {
            CryptographicOperations.ZeroMemory(content);
        }
    }

    private static Version? Parse(ReadOnlySpan<byte> line)
    {
        var key = new PinnedKey(DataKey.SizeInBytes);
        if (line.Length == Base64.GetMaxEncodedToUtf8Length(DataKey.SizeInBytes)
            && Base64.DecodeFromUtf8(line, key.Bytes, out _, out var length) == OperationStatus.Done && length == DataKey.SizeInBytes)
        {
            return new Version("file:" + Convert.ToHexStringLower(Derive(key, "otpauth.v1 KEK name").AsSpan(0, 8)), key);
        }

        key.Dispose();
        return null;
    }

    private static string Expected(string path) =>
        $"The KEK file {path} must hold exactly 32 bytes in Base64 on each line, as 'openssl rand -base64 32' prints them.";

    /// <summary>The derived number is below the order of P-256 in all but one of 2³² KEKs, for which the import fails.</summary>
    private static ECDsa DeriveSigner(PinnedKey key) => ECDsa.Create(
        new ECParameters { Curve = ECCurve.NamedCurves.nistP256, D = Derive(key, "otpauth.v1 audit signing key") });

    private static byte[] Derive(PinnedKey key, string use)
    {
        var derived = new byte[DataKey.SizeInBytes];
        HKDF.DeriveKey(HashAlgorithmName.SHA256, key.Bytes, derived, salt: [], info: Encoding.UTF8.GetBytes(use));
        return derived;
    }

    private sealed record Version(string Name, PinnedKey Key);

    /// <summary>The file's lines in their order, zeroed after use.</summary>
    private sealed class Versions : IDisposable
    {
        private readonly List<Version> inOrder = [];

        public bool Any => inOrder.Count > 0;

        public Version Oldest => inOrder[0];

        public Version Newest => inOrder[^1];

        public void Add(Version version) => inOrder.Add(version);

        public bool Exists(Predicate<Version> match) => inOrder.Exists(match);

        public Version? Find(string name) => inOrder.Find(version => version.Name == name);

        public void Dispose() => inOrder.ForEach(version => version.Key.Dispose());
    }
}
