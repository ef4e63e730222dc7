using System.Security.Cryptography;
using Microsoft.EntityFrameworkCore;
using OtpAuthService.Storage;

namespace OtpAuthService.Keys;

/// <summary>Makes the data keys of a database that has none.</summary>
internal static class FirstDataKeys
{
    /// <summary>
    /// In a new database they are random. Where credentials are there already, they were wrapped by a version before data keys: with the KEK itself, from
    /// which fingerprints and names in Redis were derived too. Then it becomes both data keys, so that replicas of both versions work side by side,
    /// until a rotation replaces it.
    /// </summary>
    /// <exception cref="CryptographicException">The KEK is not the one that wrapped them.</exception>
    public static async Task MakeAsync(OtpDbContext db, IKekProvider kek, DateTimeOffset now, CancellationToken stop)
    {
        var older = await db.Credentials.AsNoTracking().OrderBy(c => c.Id).FirstOrDefaultAsync(stop);
        if (older is not null && kek is not FileKek)
        {
            throw new CryptographicException("The credentials of this database are wrapped by a KEK in a file: start once with it, rotate, and then move to another provider.");
        }

        var version = await kek.NewestAsync(stop);
        foreach (var use in new[] { DataKeyUse.Credentials, DataKeyUse.Service })
        {
            using var key = new PinnedKey(DataKey.SizeInBytes);
            if (older is not null)
            {
                ((FileKek)kek).CopyOldest(key.Bytes);
                // Or a start with a wrong KEK would make it theirs for good.
                CredentialCipher.Unwrap(key, older.KeyVersion, older.WrappedKey, older.CredentialId, older.Algorithm).Dispose();
            }
            else
            {
                RandomNumberGenerator.Fill(key.Bytes);
            }

            db.DataKeys.Add(await kek.WrapAsync(key, (int)use, use, version, now, stop));
        }

        try
        {
            await db.SaveChangesAsync(stop);
        }
        catch (DbUpdateException race) when (StoreErrors.IsLostRace(race))
        {
            // Another replica starting at the same time has made them.
            db.ChangeTracker.Clear();
        }
    }
}
