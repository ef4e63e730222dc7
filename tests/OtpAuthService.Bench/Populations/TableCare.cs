using Npgsql;

namespace OtpAuthService.Bench.Populations;

/// <summary>What is done to tables between measurements. VACUUM by hand: autovacuum is off, so that it does not fall into one scenario and miss another.</summary>
internal static class TableCare
{
    public static async Task TruncateAsync(string connectionString, string tables)
    {
        await using var source = NpgsqlDataSource.Create(connectionString);
        await using var command = source.CreateCommand($"TRUNCATE {tables}");
        await command.ExecuteNonQueryAsync();
    }

    public static async Task VacuumAsync(NpgsqlDataSource source, params string[] tables)
    {
        foreach (var table in tables)
        {
            await using var command = source.CreateCommand($"VACUUM (ANALYZE) {table}");
            command.CommandTimeout = 120;
            await command.ExecuteNonQueryAsync();
        }
    }
}
