using Microsoft.Extensions.Options;
using OtpAuthService.Hosting;
using OtpAuthService.Storage;

namespace OtpAuthService.Diagnoses;

/// <summary>
/// The database and its clock. Not through <see cref="OtpStore"/>, which lets nobody in while there is an outage: that is when one asks.
/// </summary>
internal sealed class DatabaseCheck(StoreSet stores, IOptions<OtpAuthOptions> options, TimeProvider time)
{
    private const string GiveRights = "Run otpctl migrate --apply as the role that owns the tables: it gives otp_service its rights. Roles are made by deploy/make-roles.sql.";

    public async Task<List<Finding>> LookAsync(CancellationToken stop)
    {
        try
        {
            var (clock, writable, _) = await stores.ProbeAsync(stop);
            var server = await stores.ReadServerAsync(stop);
            var found = new List<Finding> { JudgeReach(server, writable), JudgeClock(clock), await LookAtSchemaAsync(stop) };
            if (server is not null)
            {
                found.AddRange([JudgeCommits(server), await LookAtRightsAsync(stop), JudgeConnections(server)]);
            }

            return found;
        }
        catch (Exception refused) when (StoreErrors.IsForbidden(refused))
        {
            return [Finding.Fault("database.rights", $"{stores.Name} refuses the service's role: {StoreErrors.ReasonOf(refused)}.", GiveRights)];
        }
        catch (Exception outage) when (StoreErrors.IsOutage(outage) && !stop.IsCancellationRequested)
        {
            return
            [
                Finding.Fault(
                    "database",
                    $"{stores.Name} cannot be reached: {StoreErrors.ReasonOf(outage)}.",
                    "See to the server and to ConnectionStrings__Postgres; until then every call is UNAVAILABLE, and nothing is counted."),
            ];
        }
    }

    private Finding JudgeReach(PostgresServerState? server, bool writable) => writable
        ? Finding.Ok("database", server is null ? $"{stores.Name} answers." : $"{stores.Name} {server.Version} answers.")
        : Finding.Fault(
            "database",
            $"{stores.Name} takes no writes: it is a standby or read-only.",
            "Have ConnectionStrings__Postgres name the primary, or all hosts: the one that takes writes is found.");

    private Finding JudgeClock(DateTimeOffset? theirs)
    {
        if (theirs is null)
        {
            return Finding.Ok("clock", $"{stores.Name} has no clock of its own to compare with.");
        }

        var (offset, most) = (time.GetUtcNow() - theirs.Value, options.Value.MaxClockOffset);
        var detail = FormattableString.Invariant(
            $"This machine's clock is {Math.Abs(offset.TotalSeconds):0.###} s {(offset < TimeSpan.Zero ? "behind" : "ahead of")} the database's; at most {most.TotalSeconds:0.###} s are allowed.");
        const string Advice = "Have NTP set the clocks of this machine and of the database's.";
        return offset.Duration() > most && !options.Value.TrustAnyClock ? Finding.Fault("clock", detail, Advice + " Until then nothing is decided.")
            : offset.Duration() > most / 2 && !options.Value.TrustAnyClock ? Finding.Warning("clock", detail, Advice)
            : Finding.Ok("clock", detail);
    }

    private async Task<Finding> LookAtSchemaAsync(CancellationToken stop)
    {
        await using var db = stores.CreateContext();
        var schema = await Schema.ReadAsync(db, stop);
        return schema switch
        {
            { Pending: [_, ..] } => Finding.Fault(
                "database.schema",
                $"The schema lacks {schema.Pending.Count} migrations of this version: {string.Join(", ", schema.Pending)}.",
                "Run otpctl migrate --apply as the role that owns the tables."),
            { Newer: [_, ..] } => Finding.Warning(
                "database.schema",
                $"The schema has {schema.Newer.Count} migrations that this version does not know: {string.Join(", ", schema.Newer)}.",
                "That is as it should be while a release is rolled out; afterwards, replace this replica by the newer version."),
            _ => Finding.Ok("database.schema", $"The schema fits this version: {schema.Applied[^1]}."),
        };
    }

    private static Finding JudgeCommits(PostgresServerState server)
    {
        var detail = $"synchronous_commit = {server.SynchronousCommit}, fsync = {server.Fsync}, full_page_writes = {server.FullPageWrites}";
        const string Advice = "Set synchronous_commit to on (or local, remote_write, remote_apply), fsync = on and full_page_writes = on, for this database and role.";
        return server.SynchronousCommit == "off" || server.Fsync == "off" || server.FullPageWrites == "off"
            ? Finding.Fault("database.commits", $"{detail}: a crash would forget what was answered, and an OTP could be accepted twice.", Advice)
            : Finding.Ok("database.commits", $"{detail}.");
    }

    private async Task<Finding> LookAtRightsAsync(CancellationToken stop) => await stores.ReadMissingRightsAsync(stop) is [_, ..] missing
        ? Finding.Fault("database.rights", $"The service's role lacks rights: {string.Join("; ", missing)}.", GiveRights)
        : await stores.CanRewriteAuditAsync(stop) ? Finding.Warning(
            "database.rights",
            "The service's role can alter and remove audit records: chains and heads show that it was done, but nothing keeps it from being done.",
            "Run the service as otp_service, see deploy/make-roles.sql.")
        : Finding.Ok("database.rights", "The service's role has the rights that it needs, and cannot alter audit records.");

    private Finding JudgeConnections(PostgresServerState server)
    {
        var detail = $"{server.FreeConnections} of {server.MaxConnections} connections are free for this role; a replica takes up to {stores.MaxConnections}";
        return server.FreeConnections < stores.MaxConnections
            ? Finding.Warning(
                "database.connections",
                $"{detail}: not enough for one more replica, as a rolling update has.",
                "Raise max_connections, or the role's CONNECTION LIMIT, or run fewer replicas.")
            : Finding.Ok("database.connections", $"{detail}.");
    }
}
