using System.Security.Cryptography;
using System.Xml;
using Microsoft.EntityFrameworkCore;
using Npgsql;
using OtpAuthService.Credentials.Pskc;
using OtpAuthService.Institutions;
using OtpAuthService.Keys;
using OtpAuthService.Storage;
using OtpAuthService.Submissions;

namespace OtpAuthService.Credentials;

/// <summary>ImportCredentials: takes in a supplier's file, all of it or nothing.</summary>
internal sealed class CredentialImport(DecisionLedger ledger, OtpStore store, KeyWrapping wrapping, TimeProvider time) : IDisposable
{
    /// <summary>What is told of a file with many faults.</summary>
    public const int MostReported = 10;

    private const string UnnamedSupplier = "import";

    /// <summary>A file is one transaction, and longer than a decision: a million credentials take a minute or two.</summary>
    private static readonly TimeSpan Deadline = TimeSpan.FromMinutes(10);

    /// <summary>Each has a file of its own in the folder for temporary files, of some 200 bytes for each credential.</summary>
    private readonly SemaphoreSlim places = new(2);

    /// <summary>Up to 64 printable characters, each one that XML can hold: an export names it.</summary>
    public static bool IsSupplierName(string name)
    {
        for (var i = 0; i < name.Length; i++)
        {
            if (i + 1 < name.Length && XmlConvert.IsXmlSurrogatePair(name[i + 1], name[i]))
            {
                i++;
            }
            else if (char.IsControl(name[i]) || !XmlConvert.IsXmlChar(name[i]))
            {
                return false;
            }
        }

        return name.Length <= 64;
    }

    /// <param name="delivery">Without a fingerprint: that is known once the file is.</param>
    /// <param name="order">What the file is.</param>
    /// <param name="file">The file, which is read while it arrives.</param>
    /// <param name="stop">The caller no longer waits; heeded until the file is taken in.</param>
    /// <exception cref="ImportRefusedException">What is wrong with the file.</exception>
    /// <exception cref="CredentialsExistException">Credentials of the file are here already.</exception>
    /// <exception cref="ImportsBusyException">Others are under way.</exception>
    public async Task<Answer> ImportAsync(Submission delivery, ImportOrder order, UploadedFile file, CancellationToken stop)
    {
        if (!await places.WaitAsync(TimeSpan.Zero, stop))
        {
            throw new ImportsBusyException();
        }

        try
        {
            // Looked for now: when a long file has arrived, the answer may be too old to be given again.
            return await ledger.FindAnswerAsync(delivery) is { } first
                ? first.RepeatFor(await file.FinishAsync())
                : await ImportNowAsync(delivery, order, file, stop);
        }
        catch (RefusedFileException refused)
        {
            throw new ImportRefusedException([refused.Message]);
        }
        finally
        {
            places.Release();
        }
    }

    public void Dispose() => places.Dispose();

    private async Task<Answer> ImportNowAsync(Submission delivery, ImportOrder order, UploadedFile file, CancellationToken stop)
    {
        var staged = new StagedFile();
        try
        {
            await StageAsync(order, file, staged.Credentials, stop);
            var submission = delivery with { Fingerprint = await file.FinishAsync() };
            return order.DryRun
                ? await LookAsync(staged, stop)
                : await ledger.DecideApartAsync(new PendingDecision(submission, async turn => await staged.UseAsync(c => TakeInAsync(turn, delivery.Institution, c)), stop), Deadline);
        }
        finally
        {
            // Not waited for: where the database hangs, whoever reads in it outlives this call, and reads on.
            _ = staged.DisposeAsync().AsTask();
        }
    }

    private async Task StageAsync(ImportOrder order, UploadedFile file, StagedCredentials staged, CancellationToken stop)
    {
        var faults = new List<string>();
        try
        {
            await foreach (var (credential, refusal) in order.Read(file, stop))
            {
                var fault = credential is null ? refusal!.Message : await TryStageAsync(credential, order, staged, isGood: faults.Count == 0, stop);
                if (fault is not null)
                {
                    faults.Add(fault);
                }

                if (faults.Count == MostReported)
                {
                    break;
                }
            }
        }
        catch (RefusedFileException end)
        {
            faults.Add(end.Message);
        }

        ThrowIfAny(faults);
        staged.Complete();
        ThrowIfAny([.. staged.FindRepeated(MostReported).Select(r => $"Line {r.Again} has the credential id '{r.Id}' of line {r.First} again, however it is spelt.")]);

        static void ThrowIfAny(List<string> faults)
        {
            if (faults.Count > 0)
            {
                throw new ImportRefusedException(faults);
            }
        }
    }

    /// <returns>What is wrong with it; null where nothing is.</returns>
    private async ValueTask<string?> TryStageAsync(
        SuppliedCredential entry, ImportOrder order, StagedCredentials staged, bool isGood, CancellationToken stop)
    {
        try
        {
            var supplier = order.Supplier.Length > 0 ? order.Supplier : entry.Manufacturer ?? UnnamedSupplier;
            if (!CredentialId.TryParse(entry.Id, out var id))
            {
                return $"Line {entry.Line} names a key {RefusedFileException.Quote(entry.Id)}, which is not a credential id: 4 to 40 letters and digits.";
            }

            if (!IsSupplierName(supplier))
            {
                return $"Line {entry.Line} names a manufacturer that is not up to 64 printable characters: name the supplier with the import.";
            }

            // After a fault the rest is read for its faults only.
            if (isGood)
            {
                staged.Add(entry, id, await wrapping.WrapAsync(entry.Key, id, entry.Algorithm, stop), supplier);
            }

            return null;
        }
        finally
        {
            CryptographicOperations.ZeroMemory(entry.Key);
        }
    }

    private async Task<Answer> LookAsync(StagedFile staged, CancellationToken stop)
    {
        var verdict = await store.ReadAsync(
            (db, deadline) => staged.UseAsync(async credentials =>
            {
                await RefuseKnownAsync(db, credentials, deadline);
                return Verdict.Accepted with { Imported = credentials.Count };
            }).AsTask(),
            stop,
            Deadline);
        return new Answer(verdict, time.GetUtcNow(), Repeated: false);
    }

    private static async ValueTask<Verdict> TakeInAsync(Turn turn, InstitutionId institution, StagedCredentials staged)
    {
        await RefuseKnownAsync(turn.Db, staged, turn.Stop);
        await RequireDataKeysAsync(turn.Db, staged, turn.Stop);
        try
        {
            await staged.WriteToAsync(turn.Db.Database.GetDbConnection(), institution, turn.Now, Deadline, turn.Stop);
        }
        catch (PostgresException gone) when (gone.SqlState == PostgresErrorCodes.ForeignKeyViolation)
        {
            throw DataKeyReplaced();
        }
        catch (PostgresException twice) when (twice is { SqlState: PostgresErrorCodes.UniqueViolation, ConstraintName: "ux_credentials_nonce" })
        {
            // To run it again would write the same nonce again.
            throw new StoreUnavailableException("a nonce was drawn a second time, and nothing was imported");
        }

        return Verdict.Accepted with { Imported = staged.Count };
    }

    private static async Task RefuseKnownAsync(OtpDbContext db, StagedCredentials staged, CancellationToken stop)
    {
        var known = new List<(CredentialId Id, long Line)>();
        foreach (var slice in staged.Slices())
        {
            var ids = slice.Keys.ToList();
            var found = await db.Credentials.Where(c => ids.Contains(c.CredentialId)).Select(c => c.CredentialId).Take(MostReported).ToListAsync(stop);
            known.AddRange(found.Select(id => (id, slice[id])));
            if (known.Count >= MostReported)
            {
                break;
            }
        }

        if (known.Count > 0)
        {
            throw new CredentialsExistException([.. known.OrderBy(k => k.Line).Take(MostReported)]);
        }
    }

    /// <summary>A rotation that began after the file did may have done away with the data key meanwhile: then nothing would open what is written.</summary>
    private static async Task RequireDataKeysAsync(OtpDbContext db, StagedCredentials staged, CancellationToken stop)
    {
        var versions = staged.KeyVersions();
        if (await db.DataKeys.CountAsync(k => versions.Contains(k.Version), stop) < versions.Count)
        {
            throw DataKeyReplaced();
        }
    }

    private static StoreUnavailableException DataKeyReplaced() => new("a data key was replaced while the file arrived, and nothing was imported");

    /// <summary>Staged credentials that are closed once nobody reads them any more.</summary>
    private sealed class StagedFile : IAsyncDisposable
    {
        private readonly SemaphoreSlim turn = new(1);

        public StagedCredentials Credentials { get; } = new();

        public async ValueTask<Verdict> UseAsync(Func<StagedCredentials, ValueTask<Verdict>> use)
        {
            await turn.WaitAsync();
            try
            {
                return await use(Credentials);
            }
            finally
            {
                turn.Release();
            }
        }

        public async ValueTask DisposeAsync()
        {
            await turn.WaitAsync();
            Credentials.Dispose();
            turn.Dispose();
        }
    }
}

/// <summary>What is to be imported.</summary>
/// <param name="Read">Reads the file.</param>
/// <param name="Supplier">Who made the credentials; empty: as the file says.</param>
/// <param name="DryRun">Only look.</param>
internal sealed record ImportOrder(Func<UploadedFile, CancellationToken, IAsyncEnumerable<SuppliedEntry>> Read, string Supplier, bool DryRun);

/// <summary>A file that is refused as a whole, with its first faults; nothing of it was taken in.</summary>
internal sealed class ImportRefusedException(IReadOnlyList<string> faults) : Exception(string.Join(' ', faults))
{
    public IReadOnlyList<string> Faults => faults;
}

/// <summary>Imported credentials are here already; nothing of the file was taken in.</summary>
internal sealed class CredentialsExistException(IReadOnlyList<(CredentialId Id, long Line)> known) : Exception(
    $"Nothing was imported, for here already: {string.Join(", ", known.Select(k => $"credential {k.Id} (line {k.Line})"))}{(known.Count == CredentialImport.MostReported ? ", and perhaps more" : "")}.");

/// <summary>As many files as there is room for are arriving. Nothing was imported.</summary>
internal sealed class ImportsBusyException() : Exception("two other imports are under way; nothing was imported")
{
    /// <summary>When it is worth asking again.</summary>
    public static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(10);
}
