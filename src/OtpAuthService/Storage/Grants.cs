using Microsoft.EntityFrameworkCore;

namespace OtpAuthService.Storage;

/// <summary>The rights of the roles in PostgreSQL: <c>Grants.sql</c> beside this file.</summary>
internal static class Grants
{
    /// <summary>Gives the roles that are there exactly what Grants.sql says. Without effect for whoever does not own the tables, and on SQLite.</summary>
    public static async Task ApplyAsync(OtpDbContext db, CancellationToken stop)
    {
        if (!db.Database.IsNpgsql())
        {
            return;
        }

        using var statement = new StreamReader(typeof(Grants).Assembly.GetManifestResourceStream("Grants.sql")!);
        await db.Database.ExecuteSqlRawAsync(await statement.ReadToEndAsync(stop), stop);
    }
}
