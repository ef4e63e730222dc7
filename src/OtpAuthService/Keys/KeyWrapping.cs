using System.Security.Cryptography;
using OtpAuthService.Credentials;

namespace OtpAuthService.Keys;

/// <summary>Wraps and unwraps credential keys under the data keys (<see cref="CredentialCipher"/>).</summary>
internal sealed class KeyWrapping(DataKeys dataKeys, RandomNumberGenerator nonces)
{
    /// <summary>Wraps under the newest data key.</summary>
    /// <inheritdoc cref="DataKeys.HoldAsync" path="/exception"/>
    public async ValueTask<WrappedKey> WrapAsync(ReadOnlyMemory<byte> key, CredentialId credential, Algorithm algorithm, CancellationToken stop)
    {
        var (version, dataKey) = await dataKeys.HoldNewestAsync(stop);
        using (dataKey)
        {
            return new WrappedKey(CredentialCipher.Wrap(dataKey, version, key.Span, credential, algorithm, nonces), version);
        }
    }

    /// <exception cref="StoredKeyException">The key was not wrapped for this credential, or was altered since.</exception>
    /// <inheritdoc cref="DataKeys.HoldAsync" path="/exception"/>
    public async ValueTask<PinnedKey> UnwrapAsync(Credential credential, CancellationToken stop) =>
        (await OpenAsync(WrappedCredential.Of(credential), stop)).Key;

    /// <summary>What a match needs of a credential. The caller lets go of the key.</summary>
    /// <inheritdoc cref="UnwrapAsync" path="/exception"/>
    public async ValueTask<KeyedCredential> OpenAsync(WrappedCredential credential, CancellationToken stop)
    {
        using var dataKey = await dataKeys.HoldAsync(credential.KeyVersion, stop);
        return new KeyedCredential(
            credential.Id,
            credential.Epoch,
            Unwrap(dataKey, credential.KeyVersion, credential.WrappedKey, credential.CredentialId, credential.Algorithm),
            credential.Algorithm,
            credential.Digits,
            credential.PeriodSeconds,
            credential.DriftSteps,
            credential.Status,
            // Few suppliers, many credentials that are kept.
            string.Intern(credential.Supplier)) { LastTimeStep = credential.LastTimeStep, DriftDays = credential.DriftDays };
    }

    /// <summary>The same key under the newest data key.</summary>
    /// <inheritdoc cref="UnwrapAsync" path="/exception"/>
    public async ValueTask<WrappedKey> WrapAnewAsync(
        byte[] wrapped, int version, CredentialId credential, Algorithm algorithm, CancellationToken stop)
    {
        using var dataKey = await dataKeys.HoldAsync(version, stop);
        using var key = Unwrap(dataKey, version, wrapped, credential, algorithm);
        return await WrapAsync(key.AsMemory(), credential, algorithm, stop);
    }

    private static PinnedKey Unwrap(PinnedKey dataKey, int version, byte[] wrapped, CredentialId credential, Algorithm algorithm)
    {
        try
        {
            return CredentialCipher.Unwrap(dataKey, version, wrapped, credential, algorithm);
        }
        catch (CryptographicException)
        {
            throw new StoredKeyException();
        }
    }
}

/// <summary>
/// The stored key of a credential does not open: row or key was altered, exchanged, or restored without the other. Nothing is decided or counted: nobody
/// knows what the OTP would have been held against. It does not say which one it was.
/// </summary>
internal sealed class StoredKeyException() : Exception("a stored key does not open");

/// <summary>A credential key as it is stored.</summary>
/// <param name="Bytes">As <see cref="CredentialCipher"/> stores it.</param>
/// <param name="Version">The data key that opens it.</param>
internal readonly record struct WrappedKey(byte[] Bytes, int Version);
