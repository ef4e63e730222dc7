using System.Data;
using System.Diagnostics.CodeAnalysis;
using Microsoft.Data.Sqlite;
using Npgsql;
using NpgsqlTypes;
using OtpAuthService.Institutions;
using OtpAuthService.Keys;
using OtpAuthService.Storage;
using OtpAuthService.Verification;

namespace OtpAuthService.Credentials;

/// <summary>
/// The credentials of a file, with their keys wrapped, from when they were read until they are taken in as a whole: a private SQLite database in the folder
/// for temporary files, removed from its folder as soon as it is opened, so that it is gone with the process however that ends. The system of record is
/// not touched before the file is known to be good, and its transaction does not wait for whoever sends the file.
/// </summary>
internal sealed class StagedCredentials : IDisposable
{
    /// <summary>Known ids are looked for in slices of so many.</summary>
    private const int Slice = 5_000;

    private const string Columns =
        "credential_id, wrapped_key, key_version, algorithm, digits, period_seconds, drift_steps, supplier, valid_from, valid_until";

    private const string Insert = $"INSERT INTO staged (line, {Columns}) VALUES (@line, @c0, @c1, @c2, @c3, @c4, @c5, @c6, @c7, @c8, @c9)";

    private readonly SqliteConnection staging = new("Data Source=;Pooling=False");
    private readonly SqliteCommand insert;
    private SqliteTransaction? filling;

    public StagedCredentials()
    {
        staging.Open();
        // Nothing in it outlives the process: no journal, no waiting for the disk. The cache is 4 MiB, however long the file.
        Execute("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA temp_store = FILE; PRAGMA cache_size = -4096;");
        Execute(
            """
            CREATE TABLE staged (
                line INTEGER, credential_id TEXT, wrapped_key BLOB, key_version INTEGER, algorithm INTEGER, digits INTEGER, period_seconds INTEGER,
                drift_steps INTEGER, supplier TEXT, valid_from INTEGER, valid_until INTEGER)
            """);
        filling = staging.BeginTransaction();
        insert = Prepare(staging, Insert, "@line");
    }

    public int Count { get; private set; }

    public void Add(SuppliedCredential entry, CredentialId id, WrappedKey key, string supplier)
    {
        object?[] row =
        [
            entry.Line, id.Value, key.Bytes, key.Version, (int)entry.Algorithm, entry.Digits, entry.PeriodSeconds, entry.DriftSteps, supplier,
            entry.ValidFrom?.ToUnixTimeMilliseconds(), entry.ValidUntil?.ToUnixTimeMilliseconds(),
        ];
        Execute(insert, row);
        Count++;
    }

    /// <summary>No more are added: from here on they are read in the order of their ids, in which rows are locked and indexes grow best.</summary>
    public void Complete()
    {
        Execute("CREATE INDEX ix_staged ON staged (credential_id, line)");
        filling!.Commit();
        filling = null;
    }

    /// <summary>Ids that come again, and the lines that they stand on.</summary>
    public List<(string Id, long First, long Again)> FindRepeated(int most)
    {
        using var command = staging.CreateCommand();
        command.CommandText =
            """
            SELECT credential_id, before, line FROM (
                SELECT credential_id, line, LAG(credential_id) OVER w AS id_before, LAG(line) OVER w AS before FROM staged WINDOW w AS (ORDER BY credential_id, line))
            WHERE id_before = credential_id ORDER BY line LIMIT @most
            """;
        command.Parameters.AddWithValue("@most", most);
        using var rows = command.ExecuteReader();
        var repeated = new List<(string, long, long)>();
        while (rows.Read())
        {
            repeated.Add((rows.GetString(0), rows.GetInt64(1), rows.GetInt64(2)));
        }

        return repeated;
    }

    /// <summary>The data keys that they are wrapped under.</summary>
    public List<int> KeyVersions()
    {
        using var command = staging.CreateCommand();
        command.CommandText = "SELECT DISTINCT key_version FROM staged";
        using var rows = command.ExecuteReader();
        var versions = new List<int>();
        while (rows.Read())
        {
            versions.Add(rows.GetInt32(0));
        }

        return versions;
    }

    /// <summary>Ids and lines, slice by slice.</summary>
    public IEnumerable<Dictionary<CredentialId, long>> Slices()
    {
        using var command = staging.CreateCommand();
        command.CommandText = "SELECT credential_id, line FROM staged ORDER BY credential_id";
        using var rows = command.ExecuteReader();
        var slice = new Dictionary<CredentialId, long>(Slice);
        while (rows.Read())
        {
            slice.Add(CredentialId.Parse(rows.GetString(0)), rows.GetInt64(1));
            if (slice.Count == Slice)
            {
                yield return slice;
                slice.Clear();
            }
        }

        yield return slice;
    }

    /// <summary>Writes all of them as rows of <c>credentials</c>, in the open transaction of the connection.</summary>
    public Task WriteToAsync(IDbConnection connection, InstitutionId institution, DateTimeOffset now, TimeSpan within, CancellationToken stop) => connection switch
    {
        NpgsqlConnection postgres => CopyToAsync(postgres, institution, now, within, stop),
        SqliteConnection sqlite => Task.Run(() => InsertInto(sqlite, institution, now, stop), stop),
        _ => throw new InvalidOperationException($"{connection.GetType().Name} is of no database that is known."),
    };

    public void Dispose()
    {
        insert.Dispose();
        filling?.Dispose();
        staging.Dispose();
    }

    private async Task CopyToAsync(NpgsqlConnection postgres, InstitutionId institution, DateTimeOffset now, TimeSpan within, CancellationToken stop)
    {
        await using var copy = await postgres.BeginBinaryImportAsync(
            $"COPY credentials ({Columns}, last_time_step, epoch, status, created_at, supplied_to) FROM STDIN (FORMAT BINARY)", stop);
        copy.Timeout = within;
        foreach (var row in Rows())
        {
            await copy.StartRowAsync(stop);
            await copy.WriteAsync(row.GetString(0), NpgsqlDbType.Varchar, stop);
            await copy.WriteAsync(row.GetFieldValue<byte[]>(1), NpgsqlDbType.Bytea, stop);
            await copy.WriteAsync(row.GetInt32(2), NpgsqlDbType.Integer, stop);
            await copy.WriteAsync(row.GetInt16(3), NpgsqlDbType.Smallint, stop);
            await copy.WriteAsync(row.GetInt32(4), NpgsqlDbType.Integer, stop);
            await copy.WriteAsync(row.GetInt32(5), NpgsqlDbType.Integer, stop);
            await copy.WriteAsync(row.GetInt32(6), NpgsqlDbType.Integer, stop);
            await copy.WriteAsync(row.GetString(7), NpgsqlDbType.Varchar, stop);
            await WriteMomentAsync(row, 8);
            await WriteMomentAsync(row, 9);
            await copy.WriteAsync(TimeStep.None.Value, NpgsqlDbType.Bigint, stop);
            await copy.WriteAsync(0L, NpgsqlDbType.Bigint, stop);
            await copy.WriteAsync((short)CredentialStatus.Active, NpgsqlDbType.Smallint, stop);
            await copy.WriteAsync(now.ToUnixTimeMilliseconds(), NpgsqlDbType.Bigint, stop);
            await copy.WriteAsync(institution.Value, NpgsqlDbType.Varchar, stop);
        }

        await copy.CompleteAsync(stop);

        Task WriteMomentAsync(SqliteDataReader row, int column) =>
            row.IsDBNull(column) ? copy.WriteNullAsync(stop) : copy.WriteAsync(row.GetInt64(column), NpgsqlDbType.Bigint, stop);
    }

    private void InsertInto(SqliteConnection sqlite, InstitutionId institution, DateTimeOffset now, CancellationToken stop)
    {
        using var command = Prepare(
            sqlite,
            $"""
             INSERT INTO credentials (created_at, {Columns}, last_time_step, epoch, status, supplied_to)
             VALUES (@now, @c0, @c1, @c2, @c3, @c4, @c5, @c6, @c7, @c8, @c9, {TimeStep.None.Value}, 0, {(int)CredentialStatus.Active}, @institution)
             """,
            "@now");
        command.Parameters.AddWithValue("@institution", institution.Value);
        var values = new object[11];
        foreach (var row in Rows())
        {
            stop.ThrowIfCancellationRequested();
            values[0] = now.ToUnixTimeMilliseconds();
            for (var column = 0; column < 10; column++)
            {
                values[column + 1] = row.GetValue(column);
            }

            Execute(command, values);
        }
    }

    private IEnumerable<SqliteDataReader> Rows()
    {
        using var command = staging.CreateCommand();
        command.CommandText = $"SELECT {Columns} FROM staged ORDER BY credential_id";
        using var rows = command.ExecuteReader();
        while (rows.Read())
        {
            yield return rows;
        }
    }

    [SuppressMessage("Security", "CA2100", Justification = "Constants of this class.")]
    private static SqliteCommand Prepare(SqliteConnection on, string text, string first)
    {
        var command = on.CreateCommand();
        command.CommandText = text;
        command.Parameters.Add(new SqliteParameter { ParameterName = first });
        for (var column = 0; column < 10; column++)
        {
            command.Parameters.Add(new SqliteParameter { ParameterName = $"@c{column}" });
        }

        return command;
    }

    private static void Execute(SqliteCommand command, object?[] values)
    {
        for (var i = 0; i < values.Length; i++)
        {
            command.Parameters[i].Value = values[i] ?? DBNull.Value;
        }

        command.ExecuteNonQuery();
    }

    private void Execute(string statement)
    {
        using var command = staging.CreateCommand();
        command.CommandText = statement;
        command.ExecuteNonQuery();
    }
}
