using System.Security.Cryptography;
using Npgsql;
using NpgsqlTypes;
using OtpAuthService.Bindings;
using OtpAuthService.Credentials;
using OtpAuthService.Keys;
using OtpAuthService.Verification;
using Algorithm = OtpAuthService.V1.Algorithm;
using Outcome = OtpAuthService.V1.Outcome;

namespace OtpAuthService.Bench.Populations;

/// <summary>
/// The product's tables as the load generator fills and resets them: the one place that names their columns. The product itself has
/// brought up the schema and the institution.
/// </summary>
internal static class ProductTables
{
    /// <summary>Rows whose keys are wrapped at once, on all cores.</summary>
    private const int Chunk = 50_000;

    private const string CopyCredentialRows =
        """
        COPY credentials (id, credential_id, wrapped_key, key_version, algorithm, digits, period_seconds, drift_steps, last_time_step,
            epoch, status, supplier, created_at)
        FROM STDIN (FORMAT BINARY)
        """;

    /// <summary>Of the first data key.</summary>
    private const int KeyVersion = 1;

    private const string CopyContractors =
        "COPY contractors (institution_id, contractor_id, consecutive_failures) FROM STDIN (FORMAT BINARY)";

    private const string CopyBindings =
        "COPY bindings (id, institution_id, contractor_id, credential_ref, state, registered_at) FROM STDIN (FORMAT BINARY)";

    /// <summary>The data key that a started product wraps under.</summary>
    public static async Task<PinnedKey> OpenDataKeyAsync(string connectionString, string kekFile)
    {
        await using var source = NpgsqlDataSource.Create(connectionString);
        await using var command = source.CreateCommand($"SELECT kek_version, wrapped_key FROM data_keys WHERE version = {KeyVersion}");
        await using var row = await command.ExecuteReaderAsync();
        await row.ReadAsync();
        using var kek = new FileKek(kekFile);
        return await kek.OpenAsync(
            new DataKey
            {
                Version = KeyVersion,
                Use = DataKeyUse.Credentials,
                KekVersion = row.GetString(0),
                WrappedKey = row.GetFieldValue<byte[]>(1),
                CreatedAt = default,
            },
            CancellationToken.None);
    }

    /// <summary>
    /// COPY with the product's own wrapping of the keys; without tasks, which would cost more than the rows. Triggers and foreign keys are not looked at: they would take longer than the rest,
    /// and what is written is right by construction.
    /// </summary>
    public static async Task LoadAsync(string connectionString, Population population, PinnedKey dataKey)
    {
        await using var source = NpgsqlDataSource.Create(connectionString);
        await Task.WhenAll(
            Task.Run(() => CopyCredentials(source, population, dataKey)),
            Task.Run(() => Copy(source, population, CopyContractors, WriteContractor)),
            Task.Run(() => Copy(source, population, CopyBindings, WriteBinding)));
        await using var finish = source.CreateCommand(
            $"""
            SELECT setval(pg_get_serial_sequence('credentials', 'id'), {population.Count}), setval(pg_get_serial_sequence('bindings', 'id'), {population.Count})
            """);
        await finish.ExecuteNonQueryAsync();
        await TableCare.VacuumAsync(source, "credentials", "bindings", "contractors");
    }

    /// <summary>
    /// Nothing was accepted or counted yet. The trigger that refuses to lower a time step (promise P1) has to be switched off for it:
    /// outside a benchmark this would let used OTPs in again.
    /// </summary>
    public static async Task ForgetUseAsync(string connectionString)
    {
        await using var source = NpgsqlDataSource.Create(connectionString);
        await using (var forget = source.CreateCommand(
            """
            SET session_replication_role = replica;
            UPDATE credentials SET last_time_step = -1 WHERE last_time_step <> -1;
            UPDATE contractors SET consecutive_failures = 0, locked_until = NULL WHERE consecutive_failures <> 0
            """))
        {
            await forget.ExecuteNonQueryAsync();
        }

        await TableCare.VacuumAsync(source, "credentials", "contractors");
    }

    /// <summary>What grows with every call: each measurement finds it empty.</summary>
    public static Task EmptyLogsAsync(string connectionString) => TableCare.TruncateAsync(connectionString, "answers, audit_trail, audit_heads, audit_chains");

    /// <summary>How often a Verify was decided so, by the audit records.</summary>
    public static async Task<IReadOnlyDictionary<Outcome, long>> CountVerifiesAsync(string connectionString)
    {
        await using var source = NpgsqlDataSource.Create(connectionString);
        await using var count = source.CreateCommand("SELECT outcome, count(*) FROM audit_trail WHERE rpc = 'Verify' GROUP BY outcome");
        await using var rows = await count.ExecuteReaderAsync();
        var counts = new Dictionary<Outcome, long>();
        while (await rows.ReadAsync())
        {
            counts[(Outcome)rows.GetInt16(0)] = rows.GetInt64(1);
        }

        return counts;
    }

    private static void CopyCredentials(NpgsqlDataSource source, Population population, PinnedKey dataKey)
    {
        using var connection = Open(source);
        using var rows = connection.BeginBinaryImport(CopyCredentialRows);
        var now = TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds();
        for (var start = 0; start < population.Count; start += Chunk)
        {
            foreach (var (index, id, wrapped) in Wrap(population, dataKey, start))
            {
                rows.StartRow();
                rows.Write((long)index + 1, NpgsqlDbType.Bigint);
                rows.Write(id.Value, NpgsqlDbType.Varchar);
                rows.Write(wrapped, NpgsqlDbType.Bytea);
                rows.Write(KeyVersion, NpgsqlDbType.Integer);
                rows.Write((short)Algorithm.Sha1, NpgsqlDbType.Smallint);
                rows.Write(Population.Digits, NpgsqlDbType.Integer);
                rows.Write(Population.PeriodSeconds, NpgsqlDbType.Integer);
                rows.Write(0, NpgsqlDbType.Integer);
                rows.Write(TimeStep.None.Value, NpgsqlDbType.Bigint);
                rows.Write(0L, NpgsqlDbType.Bigint);
                rows.Write((short)CredentialStatus.Active, NpgsqlDbType.Smallint);
                rows.Write("bench", NpgsqlDbType.Varchar);
                rows.Write(now, NpgsqlDbType.Bigint);
            }
        }

        rows.Complete();
    }

    private static (int Index, CredentialId Id, byte[] Wrapped)[] Wrap(Population population, PinnedKey dataKey, int start)
    {
        using var nonces = RandomNumberGenerator.Create();
        var chunk = new (int, CredentialId, byte[])[Math.Min(Chunk, population.Count - start)];
        Parallel.For(0, chunk.Length, i =>
        {
            var index = start + i;
            // The VIP form, counted through so that none comes twice.
            var id = CredentialId.Parse($"VSST{index:D8}");
            chunk[i] = (index, id, CredentialCipher.Wrap(dataKey, KeyVersion, population.Key(index), id, Algorithm.Sha1, nonces));
        });
        return chunk;
    }

    private static void WriteContractor(NpgsqlBinaryImporter rows, int index)
    {
        rows.Write(Population.Institution, NpgsqlDbType.Varchar);
        rows.Write(Population.ContractorId(index), NpgsqlDbType.Varchar);
        rows.Write(0, NpgsqlDbType.Integer);
    }

    private static void WriteBinding(NpgsqlBinaryImporter rows, int index)
    {
        rows.Write((long)index + 1, NpgsqlDbType.Bigint);
        rows.Write(Population.Institution, NpgsqlDbType.Varchar);
        rows.Write(Population.ContractorId(index), NpgsqlDbType.Varchar);
        rows.Write((long)index + 1, NpgsqlDbType.Bigint);
        rows.Write((short)BindingState.Active, NpgsqlDbType.Smallint);
        rows.Write(0L, NpgsqlDbType.Bigint);
    }

    private static void Copy(NpgsqlDataSource source, Population population, string copy, Action<NpgsqlBinaryImporter, int> write)
    {
        using var connection = Open(source);
        using var rows = connection.BeginBinaryImport(copy);
        for (var i = 0; i < population.Count; i++)
        {
            rows.StartRow();
            write(rows, i);
        }

        rows.Complete();
    }

    private static NpgsqlConnection Open(NpgsqlDataSource source)
    {
        var connection = source.OpenConnection();
        using var command = new NpgsqlCommand("SET session_replication_role = replica", connection);
        command.ExecuteNonQuery();
        return connection;
    }
}
