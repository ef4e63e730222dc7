using System.Security.Cryptography;
using System.Text;

namespace OtpAuthService.Credentials;

/// <summary>
/// Wraps and unwraps credential keys: AES-256-GCM (NIST SP 800-38D) under the KEK, with the credential's id, key version and algorithm
/// as associated data, so that a wrapped key moved to another row does not open. Stored as nonce ‖ tag ‖ ciphertext.
/// </summary>
internal sealed class KeyWrapping(Kek kek)
{
    /// <summary>The key version of a credential that was never wrapped anew.</summary>
    public const int FirstVersion = 1;

    public const int TagSize = 16;
    private const int NonceSize = 12;

    /// <summary>Nonces are random: with 96 bits and one wrap per credential, 2³² wraps under one KEK stay within SP 800-38D section 8.3.</summary>
    public byte[] Wrap(ReadOnlySpan<byte> key, CredentialId credential, int keyVersion, Algorithm algorithm)
    {
        var wrapped = new byte[NonceSize + TagSize + key.Length];
        var (nonce, tag, ciphertext) = Parts(wrapped);
        RandomNumberGenerator.Fill(nonce);
        using var cipher = kek.CreateCipher();
        cipher.Encrypt(nonce, key, ciphertext, tag, AssociatedData(credential, keyVersion, algorithm));
        return wrapped;
    }

    /// <exception cref="CryptographicException">The key was not wrapped for this credential by this KEK, or was altered since.</exception>
    public CredentialKey Unwrap(Credential credential) => Unwrap(WrappedCredential.Of(credential));

    private CredentialKey Unwrap(in WrappedCredential credential)
    {
        if (credential.WrappedKey.Length <= NonceSize + TagSize)
        {
            throw new CryptographicException("A stored key is too short to be one.");
        }

        var (nonce, tag, ciphertext) = Parts(credential.WrappedKey);
        using var cipher = kek.CreateCipher();
        var key = new CredentialKey(ciphertext.Length);
        try
        {
            cipher.Decrypt(
                nonce, ciphertext, tag, key.Buffer, AssociatedData(credential.CredentialId, credential.KeyVersion, credential.Algorithm));
            return key;
        }
        catch
        {
            key.Dispose();
            throw;
        }
    }

    /// <summary>What a match needs of a credential.</summary>
    /// <inheritdoc cref="Unwrap" path="/exception"/>
    public KeyedCredential Open(in WrappedCredential credential) => new(
        credential.Id,
        credential.Epoch,
        Unwrap(credential),
        credential.Algorithm,
        credential.Digits,
        credential.PeriodSeconds,
        credential.DriftSteps,
        credential.Status);

    private static byte[] AssociatedData(CredentialId credential, int keyVersion, Algorithm algorithm) =>
        Encoding.UTF8.GetBytes($"otpauth.v1 credential key\n{credential.Value}\n{keyVersion}\n{(int)algorithm}");

    private static Wrapped Parts(Span<byte> wrapped) =>
        new(wrapped[..NonceSize], wrapped.Slice(NonceSize, TagSize), wrapped[(NonceSize + TagSize)..]);

    private readonly ref struct Wrapped(Span<byte> nonce, Span<byte> tag, Span<byte> ciphertext)
    {
        private readonly Span<byte> nonce = nonce;
        private readonly Span<byte> tag = tag;
        private readonly Span<byte> ciphertext = ciphertext;

        public void Deconstruct(out Span<byte> nonce, out Span<byte> tag, out Span<byte> ciphertext)
        {
            nonce = this.nonce;
            tag = this.tag;
            ciphertext = this.ciphertext;
        }
    }
}

/// <summary>
/// A credential's key in the clear: pinned, so that the collector leaves no copy behind, and zeroed after use. Where several calls share
/// it, none of them can know when that is: then the collector zeroes it.
/// </summary>
internal sealed class CredentialKey(int length) : IDisposable
{
    private readonly byte[] key = GC.AllocateArray<byte>(length, pinned: true);

    ~CredentialKey() => CryptographicOperations.ZeroMemory(key);

    public Span<byte> Buffer => key;

    public void Dispose()
    {
        CryptographicOperations.ZeroMemory(key);
        GC.SuppressFinalize(this);
    }

    public override string ToString() => "(hidden)";
}
