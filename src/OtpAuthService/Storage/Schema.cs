using Microsoft.EntityFrameworkCore;
using Npgsql;

namespace OtpAuthService.Storage;

/// <summary>How the schema stands to this version of the service.</summary>
/// <param name="Applied">All migrations that the database has had, the oldest first.</param>
/// <param name="Pending">Those of this version that it lacks.</param>
/// <param name="Newer">Those that this version does not know.</param>
internal sealed record Schema(IReadOnlyList<string> Applied, IReadOnlyList<string> Pending, IReadOnlyList<string> Newer)
{
    /// <summary>A big table's index may take its time.</summary>
    private static readonly TimeSpan LongestStatement = TimeSpan.FromMinutes(30);

    public static async Task<Schema> ReadAsync(OtpDbContext db, CancellationToken stop)
    {
        var known = db.Database.GetMigrations().ToList();
        var applied = (await db.Database.GetAppliedMigrationsAsync(stop)).ToList();
        return new Schema(applied, [.. known.Except(applied)], [.. applied.Except(known)]);
    }

    /// <summary>
    /// Brings the schema of a PostgreSQL database up to date and gives the roles their rights, one who does so at a time. Where the schema is newer,
    /// nothing is done: what a newer version has given would be taken away.
    /// </summary>
    /// <returns>How the schema was before.</returns>
    /// <exception cref="TimeoutException">Somebody else is at it.</exception>
    public static async Task<Schema> MigrateAsync(OtpDbContext db, CancellationToken stop)
    {
        db.Database.SetCommandTimeout(LongestStatement);
        // Held by the session, which is this context's until it is closed.
        await db.Database.OpenConnectionAsync(stop);
        try
        {
            await LockAsync(db, stop);
            var schema = await ReadAsync(db, stop);
            if (schema.Newer.Count > 0)
            {
                return schema;
            }

            await db.Database.MigrateAsync(stop);
            await Grants.ApplyAsync(db, stop);
            await db.Database.ExecuteSqlRawAsync("SELECT pg_advisory_unlock(hashtext('otp migrations'))", CancellationToken.None);
            return schema;
        }
        finally
        {
            await db.Database.CloseConnectionAsync();
        }
    }

    private static async Task LockAsync(OtpDbContext db, CancellationToken stop)
    {
        try
        {
            // The session's own limit is for the hot path; it holds again for the tables, behind whose locks every customer would wait.
            await db.Database.ExecuteSqlRawAsync(
                """
                SET lock_timeout = '1min';
                SELECT pg_advisory_lock(hashtext('otp migrations'));
                RESET lock_timeout
                """,
                stop);
        }
        catch (PostgresException held) when (held.SqlState == PostgresErrorCodes.LockNotAvailable)
        {
            throw new TimeoutException("Somebody else is migrating this database right now.", held);
        }
    }
}
