using Microsoft.EntityFrameworkCore;
using OtpAuthService.Credentials;
using OtpAuthService.Storage;

namespace OtpAuthService.Verification;

/// <summary>
/// A fence: every time step up to a moment is refused, because the database may have forgotten claims of them (promise P1). Raised once and never
/// altered; of all of them the highest is in force, at every institution.
/// </summary>
internal sealed class Fence
{
    /// <summary>How far ahead of now a fence may be raised: as far as any credential's clock may be, so that it covers all that was ever accepted.</summary>
    public static readonly TimeSpan Furthest = Drift.Max;

    /// <summary>
    /// How far ahead of now time steps may have been claimed: the look-ahead of the widest acceptance window, and a step of drift that was learned
    /// since and is forgotten; both of the longest time step there is, 60 s.
    /// </summary>
    private static readonly TimeSpan WindowAhead = TimeSpan.FromSeconds(2 * 60);

    /// <summary>
    /// What made it necessary, so that it is raised once for that, whoever comes first. The text that <see cref="StorePosition.Evidence"/> gives for a server
    /// says that what lies there is fenced as far as it has to be; the first one of a database is no fence, its moment is 1970.
    /// </summary>
    public required string Evidence { get; init; }

    /// <summary>Up to then.</summary>
    public required DateTimeOffset Until { get; init; }

    public required DateTimeOffset RaisedAt { get; init; }

    /// <summary>Why: an operator's words, or what the service saw.</summary>
    public required string Reason { get; init; }

    /// <summary>As far ahead as an OTP can have been accepted by now, by replicas whose clocks differ from the database's by so much, to either side.</summary>
    public static DateTimeOffset Covering(DateTimeOffset now, TimeSpan maxClockOffset) => now + (2 * maxClockOffset) + WindowAhead;

    /// <summary>
    /// The highest time step of a credential that a fence refuses. Where its clock is ahead, as many steps more as it is: these were accepted by the
    /// same moment. ProposalStatement says the same in SQL.
    /// </summary>
    public static TimeStep LastRefused(DateTimeOffset until, Credential credential) =>
        TimeStep.At(until, credential.PeriodSeconds).Plus(Math.Max(0, credential.DriftSteps));

    /// <summary>
    /// The same for a pair of OTPs that says itself how far the clock is off: what was claimed of it, at whatever offset, may have been forgotten.
    /// </summary>
    public static TimeStep LastRefusedOfPair(DateTimeOffset until, Credential credential) => until == DateTimeOffset.UnixEpoch
        ? TimeStep.None
        : TimeStep.At(until, credential.PeriodSeconds).Plus(Drift.MaxSteps(credential.PeriodSeconds));

    /// <summary>The one in force; null where none was ever raised.</summary>
    public static Task<Fence?> FindAsync(OtpDbContext db, CancellationToken stop) => db.Fences.AsNoTracking()
        .Where(f => f.Until > DateTimeOffset.UnixEpoch).OrderByDescending(f => f.Until).ThenBy(f => f.RaisedAt).FirstOrDefaultAsync(stop);

    /// <summary>
    /// Up to when time steps are refused, for the decisions of the open transaction: until its commit no other fence is raised. Before any row is
    /// locked, or the two would wait in a circle.
    /// </summary>
    /// <exception cref="Npgsql.PostgresException">55000: this database is not fenced yet, and nothing may be decided on it.</exception>
    public static async Task<DateTimeOffset> HoldAsync(OtpDbContext db, CancellationToken stop) => DateTimeOffset.FromUnixTimeMilliseconds(
        db.Database.IsNpgsql()
            ? await db.Database.SqlQuery<long>($"SELECT fence_in_force() AS \"Value\"").SingleAsync(stop)
            // SQLite has one writer, and the transaction is it.
            : await db.Database.SqlQuery<long>($"SELECT COALESCE(MAX(until), 0) AS \"Value\" FROM fences").SingleAsync(stop));

    /// <summary>
    /// Raises a fence in the open transaction. It waits for the decisions that were begun under the one before, and those that begin meanwhile wait for it: after
    /// its commit no replica decides on the older one. Temporary OTPs end, for those that were used may have been forgotten as well.
    /// </summary>
    public static async Task RaiseAsync(OtpDbContext db, Fence fence, CancellationToken stop)
    {
        await LockAsync(db, stop);
        await db.Database.ExecuteSqlRawAsync("UPDATE contractors SET temporary_otp_uses_left = 0 WHERE temporary_otp_uses_left > 0", stop);
        db.Fences.Add(fence);
    }

    /// <summary>Keeps out whoever decides or raises a fence, until the transaction's end.</summary>
    public static async Task LockAsync(OtpDbContext db, CancellationToken stop)
    {
        if (db.Database.IsNpgsql())
        {
            await db.Database.ExecuteSqlRawAsync("SELECT pg_advisory_xact_lock(hashtext('otp fence'))", stop);
        }
    }
}
