using System.Text.RegularExpressions;
using Microsoft.EntityFrameworkCore;

namespace OtpAuthService.Storage;

/// <summary>The rights of the roles in PostgreSQL: <c>Grants.sql</c> beside this file.</summary>
internal static partial class Grants
{
    /// <summary>Gives the roles that are there exactly what Grants.sql says. Without effect for whoever does not own the tables, and on SQLite.</summary>
    public static async Task ApplyAsync(OtpDbContext db, CancellationToken stop)
    {
        if (!db.Database.IsNpgsql())
        {
            return;
        }

        await db.Database.ExecuteSqlRawAsync(Read(), stop);
    }

    /// <summary>Every right of the service, one by one.</summary>
    public static IReadOnlyList<Right> OfService() =>
    [
        .. from Match grant in ToService().Matches(Read())
           from Match privilege in Item().Matches(grant.Groups["privileges"].Value)
           from Match thing in Item().Matches(grant.Groups["things"].Value)
           from right in Rights(privilege.Groups["name"].Value, thing.Value.Trim(), privilege.Groups["columns"].Value)
           select right,
    ];

    private static IEnumerable<Right> Rights(string privilege, string thing, string columns) =>
        columns.Split(',', StringSplitOptions.TrimEntries).Select(column => new Right(privilege, thing, column));

    private static string Read()
    {
        using var statement = new StreamReader(typeof(Grants).Assembly.GetManifestResourceStream("Grants.sql")!);
        return statement.ReadToEnd();
    }

    [GeneratedRegex(@"^\s*GRANT (?<privileges>[^;]+?) ON (?:FUNCTION )?(?<things>[^;]+?) TO otp_service;", RegexOptions.Multiline)]
    private static partial Regex ToService();

    // Up to a comma that is not within parentheses: SELECT, or UPDATE (a, b), or f(bigint).
    [GeneratedRegex(@"(?<name>[A-Za-z_""]+)\s*(?:\((?<columns>[^)]*)\))?")]
    private static partial Regex Item();
}

/// <summary>One right of Grants.sql.</summary>
/// <param name="Privilege">Such as UPDATE, or EXECUTE of a function.</param>
/// <param name="Thing">The table, or the function with the types of its arguments.</param>
/// <param name="Column">Of a table; empty: all of it.</param>
internal sealed record Right(string Privilege, string Thing, string Column);
