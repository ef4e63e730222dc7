using Npgsql;
using NpgsqlTypes;
using OtpNet;

namespace OtpAuthService.Bench.Populations;

/// <summary>The rivals' tables as the load generator fills and resets them. EF Core has made those of Naive and Identity.</summary>
internal static class RivalTables
{
    /// <summary>Rows about as wide as the product's credentials.</summary>
    public static async Task LoadRowsAsync(string connectionString, int count)
    {
        await using var source = NpgsqlDataSource.Create(connectionString);
        await using (var make = source.CreateCommand(
            $"""
            CREATE TABLE rows (id bigint PRIMARY KEY, last_time_step bigint NOT NULL, filler text NOT NULL);
            INSERT INTO rows SELECT id, 0, repeat('x', 150) FROM generate_series(1, {count}) id
            """))
        {
            await make.ExecuteNonQueryAsync();
        }

        await TableCare.VacuumAsync(source, "rows");
    }

    public static async Task LoadNaiveAsync(string connectionString, Population population)
    {
        await using var source = NpgsqlDataSource.Create(connectionString);
        await using (var connection = await source.OpenConnectionAsync())
        {
            Copy(connection, population, """COPY "Credentials" ("Id", "CredentialId", "Secret", "Digits", "PeriodSeconds") FROM STDIN (FORMAT BINARY)""", (rows, index) =>
            {
                rows.Write((long)index + 1, NpgsqlDbType.Bigint);
                rows.Write($"VSST{index:D8}", NpgsqlDbType.Varchar);
                rows.Write(population.Key(index).ToArray(), NpgsqlDbType.Bytea);
                rows.Write(Population.Digits, NpgsqlDbType.Integer);
                rows.Write(Population.PeriodSeconds, NpgsqlDbType.Integer);
            });
            Copy(connection, population, """COPY "Bindings" ("Id", "InstitutionId", "ContractorId", "CredentialId", "IsActive") FROM STDIN (FORMAT BINARY)""", (rows, index) =>
            {
                rows.Write((long)index + 1, NpgsqlDbType.Bigint);
                rows.Write(Population.Institution, NpgsqlDbType.Varchar);
                rows.Write(Population.ContractorId(index), NpgsqlDbType.Varchar);
                rows.Write((long)index + 1, NpgsqlDbType.Bigint);
                rows.Write(true, NpgsqlDbType.Boolean);
            });
        }

        await TableCare.VacuumAsync(source, "\"Credentials\"", "\"Bindings\"");
    }

    public static Task EmptyNaiveLogAsync(string connectionString) => TableCare.TruncateAsync(connectionString, "\"AuditRecords\"");

    public static async Task LoadIdentityAsync(string connectionString, Population population)
    {
        await using var source = NpgsqlDataSource.Create(connectionString);
        await using (var connection = await source.OpenConnectionAsync())
        {
            Copy(connection, population,
                """
                COPY "AspNetUsers" ("Id", "UserName", "NormalizedUserName", "EmailConfirmed", "SecurityStamp", "ConcurrencyStamp",
                    "PhoneNumberConfirmed", "TwoFactorEnabled", "LockoutEnabled", "AccessFailedCount")
                FROM STDIN (FORMAT BINARY)
                """,
                (rows, index) =>
                {
                    rows.Write(UserId(index), NpgsqlDbType.Text);
                    rows.Write(Population.ContractorId(index), NpgsqlDbType.Varchar);
                    rows.Write(Population.ContractorId(index), NpgsqlDbType.Varchar);
                    rows.Write(false, NpgsqlDbType.Boolean);
                    rows.Write(UserId(index), NpgsqlDbType.Text);
                    rows.Write(UserId(index), NpgsqlDbType.Text);
                    rows.Write(false, NpgsqlDbType.Boolean);
                    rows.Write(true, NpgsqlDbType.Boolean);
                    rows.Write(true, NpgsqlDbType.Boolean);
                    rows.Write(0, NpgsqlDbType.Integer);
                });
            Copy(connection, population, """COPY "AspNetUserTokens" ("UserId", "LoginProvider", "Name", "Value") FROM STDIN (FORMAT BINARY)""", (rows, index) =>
            {
                rows.Write(UserId(index), NpgsqlDbType.Text);
                rows.Write("[AspNetUserStore]", NpgsqlDbType.Text);
                rows.Write("AuthenticatorKey", NpgsqlDbType.Text);
                rows.Write(Base32Encoding.ToString(population.Key(index).ToArray()), NpgsqlDbType.Text);
            });
        }

        await TableCare.VacuumAsync(source, "\"AspNetUsers\"", "\"AspNetUserTokens\"");

        // As long as Identity's own, which are GUIDs.
        static string UserId(int index) => $"{index:D8}-0000-4000-8000-000000000000";
    }

    private static void Copy(NpgsqlConnection connection, Population population, string copy, Action<NpgsqlBinaryImporter, int> write)
    {
        using var rows = connection.BeginBinaryImport(copy);
        for (var i = 0; i < population.Count; i++)
        {
            rows.StartRow();
            write(rows, i);
        }

        rows.Complete();
    }
}
