using System.Buffers.Binary;
using System.Security.Cryptography;
using Microsoft.EntityFrameworkCore;
using Npgsql;
using OtpAuthService.Storage;

namespace OtpAuthService.Audit;

/// <summary>A record as it is stored: where it stands, the hash it was given, and the digest that its content has.</summary>
internal readonly record struct StoredLink(int Chain, long Position, byte[] Hash, byte[] Digest);

/// <summary>Reads stored records for a check: in the order of chains and positions, many at a time.</summary>
internal sealed class StoredLinks(OtpStore store, StoreSet stores)
{
    /// <summary>Some seven megabytes in memory; a fraction of a second.</summary>
    public const int Slice = 50_000;

    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(5);

    /// <returns>The first <see cref="Slice"/> behind a place; fewer: there are no more.</returns>
    public Task<List<StoredLink>> ReadAsync(int chain, long position, CancellationToken cancellation) => stores.IsPostgres
        ? store.ReadDirectlyAsync((connection, stop) => CopyAsync(connection, chain, position, stop), cancellation, Deadline)
        : store.ReadAsync(
            async (db, stop) => (await db.AuditRecords.AsNoTracking()
                    .Where(r => r.ChainId > chain || (r.ChainId == chain && r.Position > position))
                    .OrderBy(r => r.ChainId).ThenBy(r => r.Position).Take(Slice).ToListAsync(stop))
                .ConvertAll(r => new StoredLink(r.ChainId, r.Position, r.Hash, AuditContent.Digest(r))),
            cancellation,
            Deadline);

    /// <summary>The bytes that PostgreSQL sends of the content are the bytes that are digested (<see cref="AuditContent"/>).</summary>
    private static async Task<List<StoredLink>> CopyAsync(NpgsqlConnection connection, int chain, long position, CancellationToken stop)
    {
        await using var copy = await connection.BeginRawBinaryCopyAsync(
            $"""
             COPY (SELECT chain_id, position, hash, {AuditContent.Columns} FROM audit_trail
                   WHERE (chain_id, position) > ({chain}, {position}) ORDER BY chain_id, position LIMIT {Slice}) TO STDOUT (FORMAT BINARY)
             """,
            stop);
        var links = new List<StoredLink>();
        var tuples = new CopiedTuples(copy);
        await tuples.SkipHeaderAsync(stop);
        while (await tuples.NextAsync(stop) is { } tuple)
        {
            links.Add(Parse(tuple.Span));
        }

        return links;
    }

    private static StoredLink Parse(ReadOnlySpan<byte> tuple)
    {
        // Four bytes of length before each field.
        const int ChainAt = sizeof(int), PositionAt = ChainAt + sizeof(int) + sizeof(int), HashAt = PositionAt + sizeof(long) + sizeof(int);
        var hash = BinaryPrimitives.ReadInt32BigEndian(tuple[(HashAt - sizeof(int))..]);
        return new StoredLink(
            BinaryPrimitives.ReadInt32BigEndian(tuple[ChainAt..]),
            BinaryPrimitives.ReadInt64BigEndian(tuple[PositionAt..]),
            tuple.Slice(HashAt, hash).ToArray(),
            SHA256.HashData(tuple[(HashAt + hash)..]));
    }
}

/// <summary>The tuples of a COPY in binary (PostgreSQL's manual, "COPY", section "Binary Format"), in a buffer that they are sliced from.</summary>
internal sealed class CopiedTuples(Stream stream)
{
    private const int Signature = 11;
    private const int Flags = 4;

    private byte[] buffer = new byte[256 * 1024];
    private int start;
    private int end;

    public async ValueTask SkipHeaderAsync(CancellationToken stop)
    {
        await FillAsync(Signature + Flags + sizeof(int), stop);
        var extension = BinaryPrimitives.ReadInt32BigEndian(buffer.AsSpan(start + Signature + Flags));
        await FillAsync(Signature + Flags + sizeof(int) + extension, stop);
        start += Signature + Flags + sizeof(int) + extension;
    }

    /// <summary>The fields of the next tuple, each with its length before it; valid until the next call. Null at the end.</summary>
    public async ValueTask<ReadOnlyMemory<byte>?> NextAsync(CancellationToken stop)
    {
        await FillAsync(sizeof(short), stop);
        int fields = BinaryPrimitives.ReadInt16BigEndian(buffer.AsSpan(start));
        if (fields < 0)
        {
            return null;
        }

        var length = sizeof(short);
        for (var i = 0; i < fields; i++)
        {
            await FillAsync(length + sizeof(int), stop);
            length += sizeof(int) + Math.Max(0, BinaryPrimitives.ReadInt32BigEndian(buffer.AsSpan(start + length)));
            await FillAsync(length, stop);
        }

        var tuple = buffer.AsMemory(start + sizeof(short), length - sizeof(short));
        start += length;
        return tuple;
    }

    private async ValueTask FillAsync(int needed, CancellationToken stop)
    {
        if (end - start >= needed)
        {
            return;
        }

        buffer.AsSpan(start, end - start).CopyTo(buffer);
        (start, end) = (0, end - start);
        if (needed > buffer.Length)
        {
            Array.Resize(ref buffer, 2 * needed);
        }

        while (end < needed)
        {
            var read = await stream.ReadAsync(buffer.AsMemory(end), stop);
            end += read > 0 ? read : throw new EndOfStreamException("A COPY ended in the middle of a tuple.");
        }
    }
}
