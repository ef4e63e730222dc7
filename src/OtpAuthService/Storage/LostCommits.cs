using System.Collections.Frozen;
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
/// the data has been served from, it is on a timeline of its own, its log is shorter than it was, or it lacks an audit head that has been shipped.
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

    private readonly SemaphoreSlim gate = new(1);
    private StorePosition? seen;

    /// <summary>Looks at a database that answers, and raises the fence where it has to be.</summary>
    /// <param name="position">Where it is; null for SQLite, which tells nothing of the kind.</param>
    /// <param name="cancellation">Gives up; nothing may be decided then.</param>
    public async Task FenceAsync(StorePosition? position, CancellationToken cancellation)
    {
        await gate.WaitAsync(cancellation);
        try
        {
            if (availability.Problem is not null || (position is not null && (seen is null || position.MayLack(seen))))
            {
                await LookAsync(position, cancellation);
            }

            seen = position;
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
        if (position is not null && !await IsKnownAsync(db, position.Evidence, cancellation))
        {
            await FenceUnknownAsync(db, position, cancellation);
        }
        else if (position is not null && seen is not null && position.MayLack(seen))
        {
            var evidence = $"{position.Evidence} after {seen.Evidence} position {seen.Flushed} {Guid.NewGuid():N}";
            await RaiseOnceAsync(db, evidence, "the database's log is shorter than it was, or another server's", cancellation);
        }

        if (shipment.Newest is { } head && !await db.AuditHeads.AnyAsync(h => h.Number == head.Number && h.Hash == head.Hash, cancellation))
        {
            await RaiseOnceAsync(db, $"audit head {head.Number} {Convert.ToHexStringLower(head.Hash)}", "the database does not hold the audit head that was shipped last", cancellation);
        }
    }

    /// <summary>Of a database that was never served before, nothing can be lost.</summary>
    private async Task FenceUnknownAsync(OtpDbContext db, StorePosition position, CancellationToken cancellation)
    {
        if (await db.Fences.AnyAsync(cancellation))
        {
            await RaiseOnceAsync(db, position.Evidence, "the data is served by another PostgreSQL, or from another timeline, than before", cancellation);
            return;
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

        // What was read before may be of commits that are lost.
        keys.ForgetAll();
        chains.Forget();
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
