using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;
using OtpAuthService.Hosting;
using OtpAuthService.Storage;
using OtpAuthService.Telemetry;

namespace OtpAuthService.Audit;

/// <summary>
/// Takes heads off the database: a line of JSON each into a file, and number and hash into the log. Every replica does so with all heads, so that one
/// replica's file is enough. A database that was taken back to an earlier state lacks what the file has.
/// </summary>
internal sealed class HeadShipment(OtpStore store, IOptions<OtpAuthOptions> options, ILogger<HeadShipment> log)
{
    /// <summary>Heads that are shipped at once at most; the others follow.</summary>
    private const int Slice = 1_000;

    private ShippedHead? last;
    private readonly Lock reading = new();
    private bool isRead;

    /// <summary>The newest head that was shipped, by this replica or into its file before; null where there is none.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public (long Number, byte[] Hash)? Newest => ReadLast() is { } head ? (head.Number, Convert.FromHexString(head.Hash)) : null;

    /// <returns>What is wrong; null where all is well.</returns>
    public async Task<AuditFault?> ShipAsync(CancellationToken cancellation)
    {
        var from = ReadLast()?.Number ?? 1;
        var heads = await store.ReadAsync(
            (db, stop) => db.AuditHeads.AsNoTracking().Where(h => h.Number >= from).OrderBy(h => h.Number).Take(Slice).ToListAsync(stop), cancellation);
        if (last is { } known)
        {
            if (heads.Count == 0 || heads[0].Number != known.Number || Convert.ToHexStringLower(heads[0].Hash) != known.Hash)
            {
                return new AuditFault(AuditFindingKind.RolledBack, 0, 0, "the database does not hold the head that was shipped last", known.Number);
            }

            heads.RemoveAt(0);
        }

        if (heads.Count > 0)
        {
            Ship([.. heads.Select(ShippedHead.Of)]);
        }

        return null;
    }

    private ShippedHead? ReadLast()
    {
        lock (reading)
        {
            if (!isRead)
            {
                last = ReadLastInFile();
                isRead = true;
            }

            return last;
        }
    }

    private void Ship(List<ShippedHead> heads)
    {
        if (options.Value.AuditHeadsFile is { } path)
        {
            using var file = new FileStream(path, FileMode.Append, FileAccess.Write, FileShare.Read);
            using var writer = new StreamWriter(file);
            heads.ForEach(head => writer.WriteLine(JsonSerializer.Serialize(head, AuditHeadContent.Form)));
            writer.Flush();
            file.Flush(flushToDisk: true);
        }

        heads.ForEach(head => log.AuditHead(head.Number, head.Hash));
        last = heads[^1];
    }

    /// <summary>A last line that a crash has cut off is none; its head is shipped again on a line of its own.</summary>
    private ShippedHead? ReadLastInFile()
    {
        if (options.Value.AuditHeadsFile is not { } path || !File.Exists(path))
        {
            return null;
        }

        ShippedHead? found = null;
        foreach (var line in File.ReadLines(path).Where(line => line.Length > 0))
        {
            try
            {
                found = JsonSerializer.Deserialize<ShippedHead>(line, AuditHeadContent.Form);
            }
            catch (JsonException)
            {
                log.ShippedHeadUnreadable(path);
                File.AppendAllText(path, "\n");
            }
        }

        return found;
    }

    /// <summary>A line of the file.</summary>
    private sealed record ShippedHead(long Number, string Hash, string Content, string Signature, string PublicKey)
    {
        public static ShippedHead Of(AuditHead head) => new(
            head.Number,
            Convert.ToHexStringLower(head.Hash),
            head.Content,
            Convert.ToBase64String(head.Signature),
            Convert.ToBase64String(head.PublicKey));
    }
}
