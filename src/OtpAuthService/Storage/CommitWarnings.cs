using System.Data.Common;
using Npgsql;

namespace OtpAuthService.Storage;

/// <summary>
/// PostgreSQL answers a COMMIT that was interrupted while it waited for the synchronous standby with success and a WARNING that it
/// "might not have been replicated". Such a commit may be lost at a failover, so its result counts as unknown (promise P1).
/// </summary>
internal sealed class CommitWarnings : IDisposable
{
    private readonly NpgsqlConnection? connection;
    private string? warning;

    private CommitWarnings(NpgsqlConnection? connection)
    {
        this.connection = connection;
        if (connection is not null)
        {
            connection.Notice += OnNotice;
        }
    }

    /// <summary>Listens from now on; on SQLite, which has no standby, to nothing.</summary>
    public static CommitWarnings Of(DbConnection connection) => new(connection as NpgsqlConnection);

    public void ThrowIfAny()
    {
        if (warning is not null)
        {
            throw new CommitUncertainException(warning);
        }
    }

    public void Dispose()
    {
        if (connection is not null)
        {
            connection.Notice -= OnNotice;
        }
    }

    private void OnNotice(object sender, NpgsqlNoticeEventArgs e)
    {
        if (e.Notice.InvariantSeverity == "WARNING")
        {
            warning = e.Notice.MessageText;
        }
    }
}

/// <summary>The commit happened on the primary, but may not outlive it.</summary>
internal sealed class CommitUncertainException(string warning) : Exception(warning);
