using System.Security.Cryptography;
using Microsoft.EntityFrameworkCore;
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
            var ids = file.Select(ReadId).ToList();
            var suppliers = file.Select(entry => SupplierOf(entry, supplier)).ToList();
            var answer = await ledger.DecideAsync(
                submission,
                async scope =>
                {
                    await RefuseKnownAsync(scope, ids);
                    scope.Db.Credentials.AddRange(file.Select((entry, i) => Wrap(entry, ids[i], suppliers[i], scope.Now)));
                    return Verdict.Accepted with { Imported = file.Count };
                },
                cancellation,
                Deadline);
            return answer!;
        }
        finally
        {
            foreach (var entry in file)
            {
                CryptographicOperations.ZeroMemory(entry.Key);
            }
        }
    }

    private static async Task RefuseKnownAsync(DecisionScope scope, List<CredentialId> ids)
    {
        var known = await scope.Db.Credentials
            .Where(c => ids.Contains(c.CredentialId)).Select(c => (CredentialId?)c.CredentialId).FirstOrDefaultAsync(scope.Stop);
        if (known is { } exists)
        {
            throw new CredentialExistsException(exists);
        }
    }

    private static CredentialId ReadId(PskcCredential entry) =>
        CredentialId.TryParse(entry.Id, out var id)
            ? id
            : throw new InvalidRequestException("chunk", $"names a key '{entry.Id}', which is not a credential id: 4 to 40 letters and digits");

    private static string SupplierOf(PskcCredential entry, string supplier)
    {
        var name = supplier.Length > 0 ? supplier : entry.Manufacturer ?? UnnamedSupplier;
        return IsSupplierName(name)
            ? name
            : throw new InvalidRequestException("header.supplier", "must be set, for the file's Manufacturer is not up to 64 printable characters");
    }

    /// <summary>Up to 64 printable characters.</summary>
    public static bool IsSupplierName(string name) => name.Length <= 64 && !name.Any(char.IsControl);

    private Credential Wrap(PskcCredential entry, CredentialId id, string supplier, DateTimeOffset now) => new()
    {
        CredentialId = id,
        WrappedKey = wrapping.Wrap(entry.Key, id, KeyWrapping.FirstVersion, entry.Algorithm),
        KeyVersion = KeyWrapping.FirstVersion,
        Algorithm = entry.Algorithm,
        Digits = entry.Digits,
        PeriodSeconds = entry.PeriodSeconds,
        Supplier = supplier,
        ValidFrom = entry.ValidFrom,
        ValidUntil = entry.ValidUntil,
        CreatedAt = now,
    };
}

/// <summary>An imported credential is here already; nothing of the file was taken in.</summary>
internal sealed class CredentialExistsException(CredentialId id) : Exception($"Credential {id} exists already; nothing was imported.");
