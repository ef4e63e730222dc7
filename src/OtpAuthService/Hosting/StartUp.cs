using System.Security.Cryptography;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;
using OtpAuthService.Audit;
using OtpAuthService.Institutions;
using OtpAuthService.Keys;
using OtpAuthService.Storage;
using OtpAuthService.Telemetry;

namespace OtpAuthService.Hosting;

/// <summary>What must hold before the first call is taken; anything else refuses the start.</summary>
internal sealed class StartUp(
    StoreSet stores,
    StoreMonitor monitor,
    LostCommits lostCommits,
    DataKeys dataKeys,
    ContractorNames names,
    IHostEnvironment environment,
    IOptions<OtpAuthOptions> options,
    TimeProvider time,
    ILogger<StartUp> log)
{
    /// <exception cref="StartRefusedException">The schema does not fit, the KEK does not open the stored keys, a right is missing, or the database is gone.</exception>
    public async Task PrepareAsync(bool embedded, CancellationToken cancellation)
    {
        try
        {
            await using var db = stores.CreateContext();
            await FitSchemaAsync(db, options.Value.MigrateOnStart ?? embedded, cancellation);
            await OpenDataKeysAsync(db, cancellation);
            await RequireDurableCommitsAsync(cancellation);
            await SetUpInstitutionsAsync(db, cancellation);
            // Before anything is decided, also for show.
            await lostCommits.FenceAsync((await stores.ProbeAsync(cancellation)).Position, cancellation);
            await Rehearsal.RunAsync(db, dataKeys.Newest, names, time.GetUtcNow(), cancellation);
            await WarnOfRightsAsync(cancellation);
        }
        catch (Exception failure) when (StoreErrors.IsForbidden(failure))
        {
            throw new StartRefusedException(
                $"PostgreSQL: {StoreErrors.ReasonOf(failure)}. Rights are given by a start with OtpAuth__MigrateOnStart=true as the owner of the tables; see deploy/make-roles.sql.");
        }
        catch (Exception failure) when (StoreErrors.IsOutage(failure))
        {
            throw new StartRefusedException($"{stores.Name} cannot be reached: {StoreErrors.ReasonOf(failure)}. Check ConnectionStrings__Postgres and the server.");
        }

        await monitor.ProbeAsync(cancellation);
    }

    private async Task FitSchemaAsync(OtpDbContext db, bool migrate, CancellationToken cancellation)
    {
        var schema = await Schema.ReadAsync(db, cancellation);
        if (schema.Newer is [var newer, ..])
        {
            // Expand and contract: an older service works on a newer schema, unless that schema says otherwise.
            log.SchemaNewer(newer);
        }

        var missing = schema.Pending.Count;
        if (missing > 0 && !migrate)
        {
            throw new StartRefusedException(
                $"The schema lacks {missing} migrations of this version. Run otpctl migrate --apply, or start once with OtpAuth__MigrateOnStart=true, with a role that may change tables.");
        }

        if (missing > 0)
        {
            await db.Database.MigrateAsync(cancellation);
            log.Migrated(missing);
        }

        // Also where nothing was missing: the roles may have been made since. What a newer version has given is not taken away from it.
        if (migrate && schema.Newer.Count == 0)
        {
            await Grants.ApplyAsync(db, cancellation);
        }
    }

    /// <summary>Chains and signed heads show that a record was altered (promise P8); a role without the right to alter it is what keeps it from happening.</summary>
    private async Task WarnOfRightsAsync(CancellationToken cancellation)
    {
        if (environment.IsProduction() && await stores.CanRewriteAuditAsync(cancellation))
        {
            log.AuditCanBeRewritten();
        }
    }

    /// <summary>What was answered must be there after a crash (promise P2).</summary>
    private async Task RequireDurableCommitsAsync(CancellationToken cancellation)
    {
        if (!await stores.CommitsAreDurableAsync(cancellation))
        {
            throw new StartRefusedException(
                "PostgreSQL answers commits that a crash would forget. Set synchronous_commit (not off) and fsync = on for this database and role.");
        }
    }

    /// <summary>The data keys are the test of the KEK: they open under no other.</summary>
    private async Task OpenDataKeysAsync(OtpDbContext db, CancellationToken cancellation)
    {
        try
        {
            await dataKeys.OpenAsync(db, cancellation);
        }
        catch (CryptographicException wrong)
        {
            throw new StartRefusedException(
                $"The KEK does not open the stored keys: {wrong.Message} Set the KEK that this database was used with; do not make a new one.");
        }
        catch (Exception unavailable) when (unavailable is KekUnavailableException or KekNotReadyException)
        {
            throw new StartRefusedException($"The KEK provider cannot be used: {unavailable.Message}");
        }
    }

    /// <summary>The local caller's institutions exist from the start, so that there is something to try out.</summary>
    private async Task SetUpInstitutionsAsync(OtpDbContext db, CancellationToken cancellation)
    {
        if (options.Value.LocalCaller is not { Enabled: true } local)
        {
            return;
        }

        foreach (var id in local.Institutions.Select(InstitutionId.Parse))
        {
            if (!await db.Institutions.AnyAsync(i => i.Id == id, cancellation))
            {
                db.Institutions.Add(new Institution { Id = id, DisplayName = id.Value == "demo" ? "Demo Shinkin Bank" : id.Value, CreatedAt = time.GetUtcNow() });
            }
        }

        try
        {
            await db.SaveChangesAsync(cancellation);
        }
        catch (DbUpdateException race) when (StoreErrors.IsLostRace(race))
        {
            // Another replica starting at the same time has set them up.
        }
    }
}

/// <summary>The service does not start; the message says what to do.</summary>
internal sealed class StartRefusedException(string message) : Exception(message);
