using System.Security.Cryptography;
using Microsoft.EntityFrameworkCore;
using OtpAuthService.Keys;
using OtpAuthService.Submissions;

namespace OtpAuthService.Credentials;

/// <summary>ImportCredentials: takes in a supplier's file, all of it or nothing.</summary>
internal sealed class CredentialImport(DecisionLedger ledger, KeyWrapping wrapping)
{
    private const string UnnamedSupplier = "import";

    /// <summary>A file is one transaction, and longer than a decision.</summary>
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    /// <exception cref="CredentialExistsException">A credential of the file is here already.</exception>
    public async Task<Answer> ImportAsync(
        Submission submission, IReadOnlyList<PskcCredential> file, string supplier, CancellationToken cancellation)
    {
        try
        {
            // Wrapped before anything is decided: the transaction may outlive this call, and must never see a key that was zeroed.
            var wrapped = new List<WrappedEntry>(file.Count);
            foreach (var entry in file)
            {
                wrapped.Add(await WrapAsync(entry, SupplierOf(entry, supplier), cancellation));
            }

            return await ledger.DecideApartAsync(
                new PendingDecision(
                    submission,
                    async turn =>
                    {
                        await RefuseKnownAsync(turn, [.. wrapped.Select(w => w.Id)]);
                        turn.Db.Credentials.AddRange(wrapped.Select(w => w.ToCredential(turn.Now)));
                        return Verdict.Accepted with { Imported = file.Count };
                    },
                    cancellation),
                Deadline);
        }
        finally
        {
            foreach (var entry in file)
            {
                CryptographicOperations.ZeroMemory(entry.Key);
            }
        }
    }

    private static async Task RefuseKnownAsync(Turn turn, List<CredentialId> ids)
    {
        var known = await turn.Db.Credentials
            .Where(c => ids.Contains(c.CredentialId)).Select(c => (CredentialId?)c.CredentialId).FirstOrDefaultAsync(turn.Stop);
        if (known is { } exists)
        {
            throw new CredentialExistsException(exists);
        }
    }

    private static CredentialId ReadId(PskcCredential entry) =>
        CredentialId.TryParse(entry.Id, out var id)
            ? id
            : throw new InvalidRequestException("chunk", $"names a key {PskcException.Quote(entry.Id)}, which is not a credential id: 4 to 40 letters and digits");

    private static string SupplierOf(PskcCredential entry, string supplier)
    {
        var name = supplier.Length > 0 ? supplier : entry.Manufacturer ?? UnnamedSupplier;
        return IsSupplierName(name)
            ? name
            : throw new InvalidRequestException("header.supplier", "must be set, for the file's Manufacturer is not up to 64 printable characters");
    }

    /// <summary>Up to 64 printable characters.</summary>
    public static bool IsSupplierName(string name) => name.Length <= 64 && !name.Any(char.IsControl);

    private async ValueTask<WrappedEntry> WrapAsync(PskcCredential entry, string supplier, CancellationToken cancellation)
    {
        var id = ReadId(entry);
        return new WrappedEntry(id, await wrapping.WrapAsync(entry.Key, id, entry.Algorithm, cancellation), entry with { Key = [] }, supplier);
    }

    /// <summary>What is left of an entry once its key is wrapped.</summary>
    private sealed record WrappedEntry(CredentialId Id, WrappedKey Key, PskcCredential Parameters, string Supplier)
    {
        public Credential ToCredential(DateTimeOffset now) => new()
        {
            CredentialId = Id,
            WrappedKey = Key.Bytes,
            KeyVersion = Key.Version,
            Algorithm = Parameters.Algorithm,
            Digits = Parameters.Digits,
            PeriodSeconds = Parameters.PeriodSeconds,
            Supplier = Supplier,
            ValidFrom = Parameters.ValidFrom,
            ValidUntil = Parameters.ValidUntil,
            CreatedAt = now,
        };
    }
}

/// <summary>An imported credential is here already; nothing of the file was taken in.</summary>
internal sealed class CredentialExistsException(CredentialId id) : Exception($"Credential {id} exists already; nothing was imported.");
