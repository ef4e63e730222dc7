using System.Collections.Frozen;
using System.Diagnostics;
using System.Security.Cryptography;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;
using OtpAuthService.Audit;
using OtpAuthService.Callers;
using OtpAuthService.Credentials;
using OtpAuthService.Hosting;
using OtpAuthService.Submissions;
using OtpAuthService.Telemetry;
using OtpAuthService.Verification;

namespace OtpAuthService.Storage;

/// <summary>
/// Finds out whether the database may have lost commits that were answered, and then raises the fence by itself (promise P1): it is another server than
/// the data has been served from, it is on a timeline of its own, its log is shorter than it was, or it lacks records that this replica has written or an
/// audit head that has been shipped.
/// Until that is done, nothing is decided. What it cannot see: Verification/README.md.
/// </summary>
internal sealed class LostCommits(
    StoreSet stores,
    StoreAvailability availability,
    AuditChains chains,
    HeadShipment shipment,
    CredentialKeyCache keys,
    Instruments instruments,
    IOptions<OtpAuthOptions> options,
    TimeProvider time,
    ILogger<LostCommits> log) : IDisposable
{
    /// <summary>Looks through all contractors for temporary OTPs, and waits for decisions that are under way.</summary>
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(10);

    /// <summary>
    /// How long a server that was started anew is left alone. Each replica sees whether its own records are there, and raises the fence for all: by then
    /// every one has looked, for it asks the database several times a second.
    /// </summary>
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(2);

    private readonly SemaphoreSlim gate = new(1);
    private StorePosition? seen;

    /// <summary>When the server that answers now was seen first, as <see cref="Stopwatch"/> tells time; null where it is the one of the start.</summary>
    private long? anewSince;

    /// <summary>Looks at a database that answers, and raises the fence where it has to be.</summary>
    /// <param name="position">Where it is; null for SQLite, which tells nothing of the kind.</param>
    /// <param name="cancellation">Gives up; nothing may be decided then.</param>
    /// <returns>Whether it may be decided on; else it is to be looked at again.</returns>
    public async Task<bool> FenceAsync(StorePosition? position, CancellationToken cancellation)
    {
        await gate.WaitAsync(cancellation);
        try
        {
            if (availability.Problem is not null || position?.GoesOnFrom(seen) == false)
            {
                await LookAsync(position, cancellation);
            }

            if (seen is not null && seen.Started != position?.Started)
            {
                anewSince = Stopwatch.GetTimestamp();
            }

            seen = position;
            return anewSince is not { } since || Stopwatch.GetElapsedTime(since) > Grace;
        }
        finally
        {
            gate.Release();
        }
    }

    /// <summary>Looks again whether the database holds the audit head that was shipped last.</summary>
    public async Task FenceAsync(CancellationToken cancellation)
    {
        await gate.WaitAsync(cancellation);
        try
        {
            await LookAsync(position: null, cancellation);
        }
        finally
        {
            gate.Release();
        }
    }

    public void Dispose() => gate.Dispose();

    private async Task LookAsync(StorePosition? position, CancellationToken cancellation)
    {
        await using var db = stores.CreateContext();
        var losses = await FindLossesAsync(db, position, cancellation);
        foreach (var (evidence, reason) in losses)
        {
            await RaiseOnceAsync(db, evidence, reason, cancellation);
        }

        if (losses.Count > 0)
        {
            // What was read before may be of commits that are lost, whoever has raised the fence for it.
            keys.ForgetAll();
            chains.Forget();
        }
    }

    /// <returns>What shows a loss, and in words; the fence may have been raised for it already.</returns>
    private async Task<List<(string Evidence, string Reason)>> FindLossesAsync(OtpDbContext db, StorePosition? position, CancellationToken cancellation)
    {
        var losses = new List<(string, string)>();
        if (position is not null && await IsOfAnotherServerAsync(db, position, cancellation))
        {
            losses.Add((position.Evidence, "the data is served by another PostgreSQL, or from another timeline, than before"));
        }

        if (position is not null && seen is not null && position.MayLack(seen))
        {
            losses.Add(($"{position.Evidence} after {seen.Evidence} position {seen.Flushed}", "the database's log is shorter than it was, or another server's"));
        }

        if (await chains.FindMissingAsync(db, cancellation) is { } missing)
        {
            losses.Add(($"record {Convert.ToHexStringLower(missing.Hash)}", "the database does not hold audit records that this replica has committed"));
        }

        if (shipment.Newest is { } head && !await db.AuditHeads.AnyAsync(h => h.Number == head.Number && h.Hash == head.Hash, cancellation))
        {
            losses.Add(($"audit head {head.Number} {Convert.ToHexStringLower(head.Hash)}", "the database does not hold the audit head that was shipped last"));
        }

        return losses;
    }

    /// <summary>Of a database that was never served before, nothing can be lost.</summary>
    private async Task<bool> IsOfAnotherServerAsync(OtpDbContext db, StorePosition position, CancellationToken cancellation)
    {
        if (await db.Fences.AnyAsync(cancellation))
        {
            return !await IsKnownAsync(db, position.Evidence, cancellation);
        }

        db.Fences.Add(new Fence { Evidence = position.Evidence, Until = DateTimeOffset.UnixEpoch, RaisedAt = time.GetUtcNow(), Reason = "first start" });
        try
        {
            await db.SaveChangesAsync(cancellation);
        }
        catch (DbUpdateException race) when (StoreErrors.IsLostRace(race))
        {
            // Another replica starting at the same time.
        }

        return false;
    }

    /// <summary>In a transaction of its own, past the store, which lets nobody through until this is done.</summary>
    private async Task RaiseOnceAsync(OtpDbContext db, string evidence, string reason, CancellationToken cancellation)
    {
        if (await IsKnownAsync(db, evidence, cancellation))
        {
            return;
        }

        if (availability.ReportProblem("the database may have lost commits, and is being fenced"))
        {
            log.StoreProblem("the database may have lost commits, and is being fenced", reason);
        }

        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        deadline.CancelAfter(Deadline);
        var now = DateTimeOffset.FromUnixTimeMilliseconds(time.GetUtcNow().ToUnixTimeMilliseconds());
        var fence = new Fence { Evidence = evidence, Until = Fence.Covering(now, options.Value.MaxClockOffset), RaisedAt = now, Reason = reason };
        try
        {
            await RaiseAsync(db, fence, deadline.Token);
            instruments.FenceRaised();
            log.FenceRaised(reason, fence.Until);
        }
        catch (Exception race) when (StoreErrors.IsLostRace(race))
        {
            // Another replica has raised it for the same.
        }
    }

    private async Task RaiseAsync(OtpDbContext db, Fence fence, CancellationToken stop)
    {
        db.ChangeTracker.Clear();
        await using var transaction = await db.Database.BeginTransactionAsync(stop);
        await Fence.RaiseAsync(db, fence, stop);
        var row = chains.NewRow();
        db.AuditChains.Add(row);
        await db.SaveChangesAsync(stop);
        var records = (await db.Institutions.Select(i => i.Id).ToListAsync(stop)).ConvertAll(institution => RecordOf(fence, institution));
        AuditChains.Begin(row, fence.RaisedAt).Append(records);
        db.AuditRecords.AddRange(records);
        await db.SaveChangesAsync(stop);
        using var warnings = CommitWarnings.Of(db.Database.GetDbConnection());
        await transaction.CommitAsync(stop);
        warnings.ThrowIfAny();
    }

    /// <summary>Each institution finds it among its own records.</summary>
    private static AuditRecord RecordOf(Fence fence, Institutions.InstitutionId institution)
    {
        var service = new Caller("service", CallerRoles.None, new[] { institution }.ToFrozenSet());
        var submission = new Submission(service, Convert.ToHexString(RandomNumberGenerator.GetBytes(16)), "RaiseFence", institution, Fingerprint: []) { Reason = fence.Reason };
        return AuditRecord.Of(submission, contractor: null, policyVersion: null, Verdict.Accepted, fence.RaisedAt);
    }

    private static Task<bool> IsKnownAsync(OtpDbContext db, string evidence, CancellationToken stop) => db.Fences.AnyAsync(f => f.Evidence == evidence, stop);
}
