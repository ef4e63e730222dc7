using System.Security.Cryptography;

namespace OtpAuthService.Audit;

/// <summary>How far a chain of records goes.</summary>
/// <param name="Position">Of its last record; 0 before the first.</param>
/// <param name="Hash">Of its last record; before the first the chain's beginning: random, and told by the signed heads.</param>
internal sealed record ChainLink(long Position, byte[] Hash)
{
    /// <summary>The link that a record with this content makes. The statement that writes many does the same in the database (audit_chain).</summary>
    public ChainLink Next(ReadOnlySpan<byte> digest) => new(Position + 1, HashAfter(Hash, digest));

    /// <summary>The link behind several records.</summary>
    public ChainLink Behind(IReadOnlyCollection<byte[]> digests)
    {
        var hash = Hash.ToArray();
        foreach (var digest in digests)
        {
            HashAfter(hash, digest, hash);
        }

        return new ChainLink(Position + digests.Count, hash);
    }

    public static byte[] HashAfter(ReadOnlySpan<byte> before, ReadOnlySpan<byte> digest)
    {
        var hash = new byte[SHA256.HashSizeInBytes];
        HashAfter(before, digest, hash);
        return hash;
    }

    private static void HashAfter(ReadOnlySpan<byte> before, ReadOnlySpan<byte> digest, Span<byte> hash)
    {
        Span<byte> both = stackalloc byte[2 * SHA256.HashSizeInBytes];
        before.CopyTo(both);
        digest.CopyTo(both[SHA256.HashSizeInBytes..]);
        SHA256.HashData(both, hash);
    }
}
