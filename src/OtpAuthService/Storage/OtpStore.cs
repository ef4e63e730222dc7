using System.Data.Common;
using System.Security.Authentication;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Npgsql;
using OtpAuthService.Telemetry;

namespace OtpAuthService.Storage;

/// <summary>
/// Runs work on the database with a bound on its time, and turns everything that leaves its result unknown into
/// <see cref="StoreUnavailableException"/>. Nobody else opens a context.
/// </summary>
internal sealed class OtpStore(StoreSet stores, StoreAvailability availability, ILogger<OtpStore> log) : IDisposable
{
    /// <summary>Below one second (promise P3), with room for the reading before a decision and for the answer's way back.</summary>
    private static readonly TimeSpan Deadline = TimeSpan.FromMilliseconds(750);

    /// <summary>How long a call may wait for its turn.</summary>
    private static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(5);

    /// <summary>
    /// Reruns of a write that lost a race. A rerun is needed once per rival that commits first, and rivals for one key are the
    /// deliveries of one submission; more than this is a fault.
    /// </summary>
    private const int MaxRuns = 20;

    private readonly SemaphoreSlim readers = new(stores.MaxReaders);
    private readonly SemaphoreSlim writers = new(stores.MaxWriters);

    /// <summary>Reads the current state of the system of record.</summary>
    /// <param name="within">How long it may take; 750 ms unless told.</param>
    public Task<T> ReadAsync<T>(
        Func<OtpDbContext, CancellationToken, Task<T>> read, CancellationToken cancellation, TimeSpan? within = null) =>
        InTurnAsync(
            readers,
            async stop =>
            {
                await using var db = stores.CreateContext();
                return await read(db, stop);
            },
            within ?? Deadline,
            cancellation);

    /// <summary>
    /// Runs <paramref name="write"/> in a transaction and commits it. It is run again, in a new transaction, where it lost a race for
    /// a unique key, so it must have no effect outside the context; and it may outlive its caller, who is told that the result is not known,
    /// so it must not depend on what its caller cleans up. Once begun it is not cancelled by the caller:
    /// a decision that the caller no longer waits for is still found by its retry.
    /// </summary>
    /// <param name="within">How long it may take; 750 ms unless told.</param>
    public Task<T> WriteAsync<T>(
        Func<OtpDbContext, CancellationToken, Task<T>> write, CancellationToken cancellation, TimeSpan? within = null) =>
        InTurnAsync(
            writers,
            async stop =>
            {
                for (var run = 1; ; run++)
                {
                    try
                    {
                        return await WriteOnceAsync(write, stop);
                    }
                    catch (Exception lost) when (run < MaxRuns && StoreErrors.IsLostRace(lost))
                    {
                        log.WriteRunAgain(run, lost.Message);
                    }
                }
            },
            within ?? Deadline,
            cancellation);

    /// <summary>Reads with one statement, on a connection for statements that many submissions share.</summary>
    /// <inheritdoc cref="ReadAsync" path="/param"/>
    public Task<T> ReadDirectlyAsync<T>(
        Func<NpgsqlConnection, CancellationToken, Task<T>> read, CancellationToken cancellation, TimeSpan? within = null) =>
        InTurnAsync(
            readers,
            async stop =>
            {
                await using var connection = await stores.OpenDirectAsync(stop);
                return await read(connection, stop);
            },
            within ?? Deadline,
            cancellation);

    /// <summary>
    /// Runs one statement that commits by itself, on a connection for statements that many submissions share. Not run again where it lost a race.
    /// </summary>
    public Task<T> WriteDirectlyAsync<T>(Func<NpgsqlConnection, CancellationToken, Task<T>> write, CancellationToken cancellation) =>
        InTurnAsync(
            writers,
            async stop =>
            {
                await using var connection = await stores.OpenDirectAsync(stop);
                using var warnings = CommitWarnings.Of(connection);
                var result = await write(connection, stop);
                warnings.ThrowIfAny();
                return result;
            },
            Deadline,
            cancellation);

    /// <summary>Waits for a place, but not through an outage, and not so long that what was read or matched before means nothing any more.</summary>
    /// <exception cref="StoreUnavailableException">There is an outage, or the line is too long.</exception>
    private async Task WaitInLineAsync(SemaphoreSlim line, CancellationToken cancellation)
    {
        var outage = availability.Outage;
        if (availability.Problem is { } problem)
        {
            throw new StoreUnavailableException(problem);
        }

        using var waiting = CancellationTokenSource.CreateLinkedTokenSource(outage, cancellation);
        try
        {
            if (!await line.WaitAsync(LongestWait, waiting.Token))
            {
                throw new StoreUnavailableException("too many decisions are waiting");
            }
        }
        catch (OperationCanceledException) when (outage.IsCancellationRequested)
        {
            throw new StoreUnavailableException(availability.Problem ?? "the database was out of reach for a moment");
        }
    }

    public void Dispose()
    {
        readers.Dispose();
        writers.Dispose();
    }

    private async Task<T> WriteOnceAsync<T>(Func<OtpDbContext, CancellationToken, Task<T>> write, CancellationToken stop)
    {
        await using var db = stores.CreateContext();
        await using var transaction = await db.Database.BeginTransactionAsync(stop);
        var result = await write(db, stop);
        using var warnings = CommitWarnings.Of(db.Database.GetDbConnection());
        await transaction.CommitAsync(stop);
        warnings.ThrowIfAny();
        return result;
    }

    private async Task<T> InTurnAsync<T>(
        SemaphoreSlim turns, Func<CancellationToken, Task<T>> work, TimeSpan within, CancellationToken cancellation)
    {
        await WaitInLineAsync(turns, cancellation);
        var outage = availability.Outage;
        var running = RunAsync(turns, work, within);
        try
        {
            // The work is told to stop at its deadline, but a hung server may hold it longer: the caller does not wait for that.
            return await running.WaitAsync(within + TimeSpan.FromMilliseconds(20), outage);
        }
        catch (Exception failure) when (StoreErrors.IsOutage(failure))
        {
            _ = running.ContinueWith(static late => late.Exception, TaskScheduler.Default);
            // One failed call is no outage: whether the database can decide at all is for the monitor to say.
            log.CallWithoutResult(failure.Message);
            throw new StoreUnavailableException("the database did not answer as it should, so the result is not known", failure)
            {
                IsRowHeld = StoreErrors.IsRowHeld(failure),
            };
        }
    }

    private async Task<T> RunAsync<T>(SemaphoreSlim turns, Func<CancellationToken, Task<T>> work, TimeSpan within)
    {
        try
        {
            if (!stores.IsPostgres)
            {
                // SQLite's asynchronous methods are synchronous: without this the caller would not get to its own time limit.
                await Task.Yield();
            }

            using var deadline = new CancellationTokenSource(within);
            var result = await work(deadline.Token);
            availability.ReportProgress();
            return result;
        }
        finally
        {
            turns.Release();
        }
    }
}

/// <summary>Nothing was decided, or it is not known what was. Never counted as a guess (promise P3).</summary>
internal sealed class StoreUnavailableException(string message, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>When it is worth asking again.</summary>
    public static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(1);

    /// <summary>Nothing was written: a row was held by somebody else for too long, or in a circle. Only whoever needs that row is concerned.</summary>
    public bool IsRowHeld { get; init; }
}

/// <summary>What a database error means for the work it interrupted.</summary>
internal static class StoreErrors
{
    /// <summary>Another transaction was first: rolled back whole, to be run again on what that one has written.</summary>
    public static bool IsLostRace(Exception error) => Root(error) switch
    {
        DbUpdateConcurrencyException => true,
        PostgresException postgres => postgres.SqlState
            is PostgresErrorCodes.UniqueViolation or PostgresErrorCodes.SerializationFailure or PostgresErrorCodes.DeadlockDetected,
        SqliteException sqlite => sqlite.SqliteExtendedErrorCode is SqliteConstraintPrimaryKey or SqliteConstraintUnique,
        _ => false,
    };

    /// <summary>
    /// The database is gone, hung, refusing or full. Errors that say the statement itself is wrong (SQLSTATE classes 22, 23, 42 and
    /// 0A, or raised by a trigger: P0) are faults of ours and not an outage.
    /// </summary>
    public static bool IsOutage(Exception error) => Root(error) switch
    {
        PostgresException postgres => postgres.SqlState[..2] is not ("22" or "23" or "42" or "0A" or "P0"),
        SqliteException sqlite => sqlite.SqliteErrorCode is not (SqliteError or SqliteConstraint),
        CommitUncertainException => true,
        DbException or TimeoutException or OperationCanceledException or IOException => true,
        _ => false,
    };

    /// <summary>
    /// Nothing was written, for certain: the server has refused a statement, or we have, before any commit. Classes 22, 23, 40, 42, 55 and P0 of
    /// SQLSTATE; others may come once a commit has begun.
    /// </summary>
    public static bool IsRolledBack(Exception error) => Root(error) switch
    {
        StoreUnavailableException { InnerException: { } inner } => IsRolledBack(inner),
        PostgresException postgres => postgres.SqlState[..2] is "22" or "23" or "40" or "42" or "55" or "P0",
        DbException or TimeoutException or OperationCanceledException or IOException or CommitUncertainException or StoreUnavailableException => false,
        DbUpdateException => false,
        _ => true,
    };

    /// <summary>The work ran into its own deadline.</summary>
    public static bool IsTimeout(Exception error) =>
        Root(error) is TimeoutException or OperationCanceledException or NpgsqlException { InnerException: TimeoutException };

    /// <summary>Somebody else holds a row for longer than is waited for it, or waits for us in a circle.</summary>
    public static bool IsRowHeld(Exception error) =>
        Root(error) is PostgresException { SqlState: PostgresErrorCodes.LockNotAvailable or PostgresErrorCodes.DeadlockDetected };

    /// <summary>The role lacks a right.</summary>
    public static bool IsForbidden(Exception error) => Root(error) is PostgresException { SqlState: PostgresErrorCodes.InsufficientPrivilege };

    /// <summary>What was wrong, in words for an operator.</summary>
    public static string ReasonOf(Exception outage) => Root(outage) switch
    {
        // Of a certificate that it does not believe, Npgsql says "rejected" and no more.
        AuthenticationException { InnerException: null } =>
            "the server's certificate is not believed: it must be in date, under Root Certificate and, with SSL Mode=VerifyFull, for the name given as Host",
        // One for each attempt; around them Npgsql says only that there are some.
        { InnerException: AggregateException attempts } => ReasonOf(attempts.InnerExceptions[0]),
        { InnerException: { } cause } failure => $"{failure.Message}: {ReasonOf(cause)}",
        var failure => failure.Message,
    };

    private const int SqliteError = 1;
    private const int SqliteConstraint = 19;
    private const int SqliteConstraintPrimaryKey = 1555;
    private const int SqliteConstraintUnique = 2067;

    /// <summary>EF Core wraps what the database said: a failed save, and, on PostgreSQL, whatever it takes for transient.</summary>
    private static Exception Root(Exception error) => error switch
    {
        DbUpdateException { InnerException: { } inner } => Root(inner),
        // Npgsql's transaction of a connection that broke; it says what broke it.
        ObjectDisposedException { InnerException: { } inner } => Root(inner),
        InvalidOperationException { InnerException: (DbException or DbUpdateException or TimeoutException) and { } inner } => Root(inner),
        _ => error,
    };
}
