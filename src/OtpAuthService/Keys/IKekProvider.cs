using System.Security.Cryptography;

namespace OtpAuthService.Keys;

/// <summary>
/// Where the key-encryption keys are: never in the database. A KEK wraps data keys, a few dozen in the life of a service, and beside it lies the
/// key that signs the heads of the audit chains. A KEK has versions: the newest wraps, older ones still unwrap what they wrapped.
/// </summary>
internal interface IKekProvider : IDisposable
{
    /// <summary>The version that wraps from now on: what it is called here, 1 to 128 of [A-Za-z0-9:._-]. Stored beside what it wraps.</summary>
    /// <exception cref="KekUnavailableException">The provider cannot be reached.</exception>
    ValueTask<string> NewestAsync(CancellationToken stop);

    /// <summary>Makes a version that follows <paramref name="current"/>, or takes the one that was laid ready; where a newer one is there already, that one.</summary>
    /// <exception cref="KekUnavailableException">The provider cannot be reached.</exception>
    /// <exception cref="KekNotReadyException">The provider makes none itself; the message says what its operator is to do.</exception>
    ValueTask<string> AdvanceAsync(string current, CancellationToken stop);

    /// <summary>Wraps 32 bytes: authenticated encryption with <paramref name="associatedData"/>.</summary>
    /// <exception cref="KekUnavailableException">The provider cannot be reached.</exception>
    ValueTask<byte[]> WrapAsync(string version, ReadOnlyMemory<byte> key, ReadOnlyMemory<byte> associatedData, CancellationToken stop);

    /// <summary>Undoes <see cref="WrapAsync"/> into <paramref name="key"/>, 32 bytes; the provider keeps no copy.</summary>
    /// <exception cref="KekUnavailableException">The provider cannot be reached.</exception>
    /// <exception cref="CryptographicException">It was wrapped by another KEK, for something else, or was altered since; or the version is not known.</exception>
    ValueTask UnwrapAsync(string version, ReadOnlyMemory<byte> wrapped, ReadOnlyMemory<byte> associatedData, Memory<byte> key, CancellationToken stop);

    /// <summary>Signs with ECDSA on P-256 over SHA-256 (FIPS 186-5).</summary>
    /// <exception cref="KekUnavailableException">The provider cannot be reached.</exception>
    ValueTask<KekSignature> SignAsync(ReadOnlyMemory<byte> content, CancellationToken stop);

    /// <summary>Whether this public key (<see cref="KekSignature.PublicKey"/>) is of a key that it signs with, or that it signed with before.</summary>
    /// <exception cref="KekUnavailableException">The provider cannot be reached.</exception>
    ValueTask<bool> IsSignerAsync(ReadOnlyMemory<byte> publicKey, CancellationToken stop);
}

/// <summary>A signature and what checks it.</summary>
/// <param name="PublicKey">SubjectPublicKeyInfo, DER (RFC 5480).</param>
/// <param name="Value">r ‖ s, 64 bytes (IEEE P1363).</param>
internal sealed record KekSignature(byte[] PublicKey, byte[] Value);

/// <summary>The KEK provider cannot be reached or does not do what it is asked. Nothing is decided about the key by that.</summary>
internal sealed class KekUnavailableException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>There is no newer KEK version yet.</summary>
internal sealed class KekNotReadyException(string message) : Exception(message);
