using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace OtpAuthService.Audit;

/// <summary>
/// How far every chain went at one moment, signed with the key beside the KEK. A head covers the hash of the head before it, so that the newest
/// one speaks for all records before it: whoever has it outside the database sees whatever was altered inside.
/// </summary>
internal sealed class AuditHead
{
    /// <summary>From 1 on, without a gap.</summary>
    public required long Number { get; init; }

    public required DateTimeOffset SignedAt { get; init; }

    /// <summary><see cref="AuditHeadContent"/> as JSON: what is signed, to the letter.</summary>
    public required string Content { get; init; }

    /// <summary>SHA-256 of the content.</summary>
    public required byte[] Hash { get; init; }

    /// <summary>ECDSA on P-256 over SHA-256 of the content, r ‖ s.</summary>
    public required byte[] Signature { get; init; }

    /// <summary>SubjectPublicKeyInfo of the key that signed.</summary>
    public required byte[] PublicKey { get; init; }

    public static byte[] HashOf(string content) => SHA256.HashData(Encoding.UTF8.GetBytes(content));

    public AuditHeadContent Read() => JsonSerializer.Deserialize<AuditHeadContent>(Content, AuditHeadContent.Form)
        ?? throw new InvalidDataException("An audit head has no content.");
}

/// <summary>What a head says.</summary>
/// <param name="Number">Its own.</param>
/// <param name="SignedAt">When, Unix milliseconds.</param>
/// <param name="Previous">The hash of the head before it; empty in the first.</param>
/// <param name="Open">The chains that may still grow.</param>
/// <param name="Closed">One digest for all the others (<see cref="DigestOfClosed"/>).</param>
internal sealed record AuditHeadContent(long Number, long SignedAt, string Previous, IReadOnlyList<AuditChainEnd> Open, string Closed)
{
    public static readonly JsonSerializerOptions Form = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    /// <summary>For each closed chain in the order of their ids: id, beginning, and the places and hashes where it ends and where what was retired ends.</summary>
    public static string DigestOfClosed(IEnumerable<AuditChainRow> closed)
    {
        using var digest = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Span<byte> numbers = stackalloc byte[sizeof(int) + sizeof(long) + sizeof(long)];
        foreach (var chain in closed.OrderBy(c => c.Id))
        {
            BinaryPrimitives.WriteInt32BigEndian(numbers, chain.Id);
            BinaryPrimitives.WriteInt64BigEndian(numbers[sizeof(int)..], chain.ClosedPosition!.Value);
            BinaryPrimitives.WriteInt64BigEndian(numbers[(sizeof(int) + sizeof(long))..], chain.RetiredPosition);
            digest.AppendData(numbers);
            digest.AppendData(chain.Beginning);
            digest.AppendData(chain.ClosedHash!);
            digest.AppendData(chain.RetiredHash ?? []);
        }

        return Convert.ToHexStringLower(digest.GetHashAndReset());
    }
}

/// <summary>How far an open chain goes. Hashes in hex.</summary>
/// <param name="Chain">Its id.</param>
/// <param name="Beginning">What its first record follows.</param>
/// <param name="Position">Of its last record; 0: none.</param>
/// <param name="Hash">Of its last record; of none: its beginning.</param>
/// <param name="RetiredPosition">Records up to here were removed with their month; 0: none.</param>
/// <param name="RetiredHash">Of the last of them; empty: none.</param>
internal sealed record AuditChainEnd(int Chain, string Beginning, long Position, string Hash, long RetiredPosition, string RetiredHash);
