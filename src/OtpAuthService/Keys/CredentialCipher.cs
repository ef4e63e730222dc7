using System.Security.Cryptography;
using System.Text;
using OtpAuthService.Credentials;

namespace OtpAuthService.Keys;

/// <summary>
/// How a credential key is wrapped: AES-256-GCM (NIST SP 800-38D) under a data key, with the credential's id, the data key's version and the
/// algorithm as associated data, so that a wrapped key moved to another row does not open. Stored as nonce ‖ tag ‖ ciphertext.
/// </summary>
internal static class CredentialCipher
{
    private const int TagSize = 16;
    private const int NonceSize = 12;

    /// <param name="dataKey">What wraps.</param>
    /// <param name="version">Its version.</param>
    /// <param name="key">The credential's key.</param>
    /// <param name="credential">Whose key it is.</param>
    /// <param name="algorithm">What it is used with.</param>
    /// <param name="nonces">
    /// Where nonces come from, 96 random bits each: with one wrap per credential, 2³² wraps under one data key stay within SP 800-38D section 8.3. One
    /// that comes twice under a data key is refused by a unique index: a machine that was copied while it ran may draw the same again.
    /// </param>
    public static byte[] Wrap(
        PinnedKey dataKey, int version, ReadOnlySpan<byte> key, CredentialId credential, Algorithm algorithm, RandomNumberGenerator nonces)
    {
        var wrapped = new byte[NonceSize + TagSize + key.Length];
        var (nonce, tag, ciphertext) = Parts(wrapped);
        nonces.GetBytes(nonce);
        using var cipher = new AesGcm(dataKey.Bytes, TagSize);
        cipher.Encrypt(nonce, key, ciphertext, tag, AssociatedData(credential, version, algorithm));
        return wrapped;
    }

    /// <exception cref="CryptographicException">The key was not wrapped for this credential by this data key, or was altered since.</exception>
    public static PinnedKey Unwrap(PinnedKey dataKey, int version, byte[] wrapped, CredentialId credential, Algorithm algorithm)
    {
        if (wrapped.Length <= NonceSize + TagSize)
        {
            throw new CryptographicException("A stored key is too short to be one.");
        }

        var (nonce, tag, ciphertext) = Parts(wrapped);
        // One for each use: an AesGcm that two threads share gives wrong results.
        using var cipher = new AesGcm(dataKey.Bytes, TagSize);
        var key = new PinnedKey(ciphertext.Length);
        try
        {
            cipher.Decrypt(nonce, ciphertext, tag, key.Bytes, AssociatedData(credential, version, algorithm));
            return key;
        }
        catch
        {
            key.Dispose();
            throw;
        }
    }

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
