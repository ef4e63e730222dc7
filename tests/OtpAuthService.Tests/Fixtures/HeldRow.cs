using Npgsql;

namespace OtpAuthService.Tests.Fixtures;

/// <summary>A row that another session holds in an open transaction, as a stuck replica or somebody with psql would.</summary>
internal sealed class HeldRow : IAsyncDisposable
{
    private readonly NpgsqlConnection connection;

    private HeldRow(NpgsqlConnection connection) => this.connection = connection;

    public static Task<HeldRow> CredentialAsync(StoresUnderTest stores, string credentialId) =>
        HoldAsync(stores, "SELECT FROM credentials WHERE credential_id = $1 FOR UPDATE", credentialId);

    public static Task<HeldRow> ContractorAsync(StoresUnderTest stores, string contractorId) =>
        HoldAsync(stores, "SELECT FROM contractors WHERE contractor_id = $1 FOR UPDATE", contractorId);

    public static Task<HeldRow> FailuresAsync(StoresUnderTest stores, string callerId) =>
        HoldAsync(stores, "SELECT FROM failure_minutes WHERE caller_id = $1 FOR UPDATE", callerId);

    /// <summary>Comes back when somebody waits for a row.</summary>
    public static Task IsWaitedForAsync(StoresUnderTest stores) => Eventually.IsTrueAsync(
        async () => await PostgresServer.ReadAsync(
            stores.PostgresConnectionString!,
            "SELECT 'somebody' FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' LIMIT 1") is not null,
        "somebody waits for the row");

    /// <summary>Lets it go.</summary>
    public ValueTask DisposeAsync() => connection.DisposeAsync();

    private static async Task<HeldRow> HoldAsync(StoresUnderTest stores, string sql, string id)
    {
        var connection = new NpgsqlConnection(stores.PostgresConnectionString + ";Pooling=false");
        await connection.OpenAsync();
        await connection.BeginTransactionAsync();
        await using var command = new NpgsqlCommand(sql, connection) { Parameters = { new NpgsqlParameter<string> { TypedValue = id } } };
        await using var rows = await command.ExecuteReaderAsync();
        return await rows.ReadAsync() ? new HeldRow(connection) : throw new InvalidOperationException("There is no such row to hold.");
    }
}
