using Google.Protobuf;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using OtpAuthService.Audit;
using OtpAuthService.Bindings;
using OtpAuthService.Credentials;
using OtpAuthService.Institutions;
using OtpAuthService.Keys;
using OtpAuthService.Storage;
using OtpAuthService.V1;
using OtpNet;
using Algorithm = OtpAuthService.V1.Algorithm;
using AuditRecord = OtpAuthService.Audit.AuditRecord;
using Credential = OtpAuthService.Credentials.Credential;

namespace OtpAuthService.Tests.Fixtures;

/// <summary>What lies in the database of a service: read and written past its calls, where no call shows or makes it.</summary>
internal static class StoreContents
{
    /// <summary>Everything that a decision leaves behind, in numbers: equal before and after means that nothing was decided.</summary>
    public static Task<DecisionTraces> TracesAsync(this OtpService service) => service.ReadAsync(async (db, stop) => new DecisionTraces(
        await db.AuditRecords.CountAsync(stop),
        await db.Answers.CountAsync(stop),
        await db.Credentials.CountAsync(stop),
        await db.Bindings.CountAsync(stop),
        await db.Contractors.CountAsync(stop),
        await db.Contractors.SumAsync(c => c.ConsecutiveFailures, stop),
        await db.Events.CountAsync(stop)));

    /// <summary>The audit records of one contractor, the oldest first; in no order among those that were decided at the same moment on different chains.</summary>
    public static Task<List<AuditRecord>> AuditAsync(this OtpService service, string contractor) => service.ReadAsync((db, stop) => db.AuditRecords.AsNoTracking()
        .Where(r => r.ContractorId == contractor).OrderBy(r => r.DecidedAt).ThenBy(r => r.ChainId).ThenBy(r => r.Position).ToListAsync(stop));

    /// <summary>The audit records of one kind of act, the oldest first.</summary>
    public static Task<List<AuditRecord>> AuditOfAsync(this OtpService service, string rpc) =>
        service.ReadAsync((db, stop) => db.AuditRecords.AsNoTracking().Where(r => r.Rpc == rpc).OrderBy(r => r.DecidedAt).ThenBy(r => r.ChainId).ThenBy(r => r.Position).ToListAsync(stop));

    /// <summary>How many times a contractor's temporary OTP is still taken.</summary>
    public static Task<int> TemporaryUsesAsync(this OtpService service, string contractor)
    {
        var id = ContractorId.Parse(contractor);
        return service.ReadAsync((db, stop) => db.Contractors.Where(c => c.ContractorId == id).Select(c => c.TemporaryOtp!.UsesLeft).SingleAsync(stop));
    }

    /// <summary>What policies said, the oldest first.</summary>
    public static Task<List<PolicyVersion>> PolicyVersionsAsync(this OtpService service) =>
        service.ReadAsync((db, stop) => db.PolicyVersions.AsNoTracking().OrderBy(v => v.InstitutionId).ThenBy(v => v.Version).ToListAsync(stop));

    /// <summary>Wrong OTPs in the table that replicas share.</summary>
    public static Task<int> FailureMinutesAsync(this OtpService service) =>
        service.ReadAsync((db, stop) => db.FailureMinutes.SumAsync(m => m.Failures, stop));

    /// <summary>A credential with a key and a learned drift that the test chose: 6 digits, 30 s, SHA-1.</summary>
    public static async Task<SoftToken> InsertCredentialAsync(this OtpService service, byte[] key, int driftSteps = 0)
    {
        var id = CredentialId.Random();
        var wrapped = await service.Services.GetRequiredService<KeyWrapping>().WrapAsync(key, id, Algorithm.Sha1, CancellationToken.None);
        await service.Services.GetRequiredService<OtpStore>().WriteAsync(
            (db, stop) =>
            {
                db.Credentials.Add(new Credential
                {
                    CredentialId = id,
                    WrappedKey = wrapped.Bytes,
                    KeyVersion = wrapped.Version,
                    Algorithm = Algorithm.Sha1,
                    Digits = 6,
                    PeriodSeconds = 30,
                    DriftSteps = driftSteps,
                    Supplier = "test",
                    CreatedAt = service.Clock.GetUtcNow(),
                });
                return db.SaveChangesAsync(stop);
            },
            CancellationToken.None);
        return new SoftToken(id.Value, new OtpUri(OtpType.Totp, Base32Encoding.ToString(key), id.Value).ToString());
    }

    /// <summary>All chains, call by call.</summary>
    public static async Task<(long Records, AuditFinding? Finding)> VerifyAuditAsync(this OtpService service, long shippedHead = 0, byte[]? shippedHash = null)
    {
        var records = 0L;
        var request = new VerifyAuditRequest
        {
            InstitutionId = "demo", ShippedHeadNumber = shippedHead, ShippedHeadHash = ByteString.CopyFrom(shippedHash ?? []),
        };
        while (true)
        {
            var answer = await service.Operations.VerifyAuditAsync(request);
            records += answer.Records;
            if (answer.Finding is not null || (answer.NextChainId, answer.NextPosition) == (0, 0))
            {
                return (records, answer.Finding);
            }

            (request.ChainId, request.Position) = (answer.NextChainId, answer.NextPosition);
        }
    }

    /// <summary>What somebody with all rights on the database does.</summary>
    public static async Task ExecuteAsync(this OtpService service, string sql)
    {
        await using var db = service.Services.GetRequiredService<StoreSet>().CreateContext();
#pragma warning disable EF1002 // The test's own words.
        await db.Database.ExecuteSqlRawAsync(sql);
#pragma warning restore EF1002
    }

    /// <summary>Data keys as they lie there, the oldest first.</summary>
    public static Task<List<OtpAuthService.Keys.DataKey>> DataKeysAsync(this OtpService service) =>
        service.ReadAsync((db, stop) => db.DataKeys.AsNoTracking().OrderBy(k => k.Version).ToListAsync(stop));

    /// <summary>A contractor's row.</summary>
    public static Task<Contractor> ContractorAsync(this OtpService service, string contractor)
    {
        var id = ContractorId.Parse(contractor);
        return service.ReadAsync((db, stop) => db.Contractors.AsNoTracking().SingleAsync(c => c.ContractorId == id, stop));
    }

    /// <summary>A credential's row.</summary>
    public static Task<Credential> CredentialAsync(this OtpService service, SoftToken token)
    {
        var id = CredentialId.Parse(token.CredentialId);
        return service.ReadAsync((db, stop) => db.Credentials.AsNoTracking().SingleAsync(c => c.CredentialId == id, stop));
    }

    /// <summary>As whoever gets at the database past the service does, which forgets what it has in memory.</summary>
    public static async Task OverwriteKeyAsync(this OtpService service, SoftToken token, byte[] wrapped, int version)
    {
        var id = CredentialId.Parse(token.CredentialId);
        await service.WriteAsync((db, stop) => db.Credentials.Where(c => c.CredentialId == id)
            .ExecuteUpdateAsync(row => row.SetProperty(c => c.WrappedKey, wrapped).SetProperty(c => c.KeyVersion, version), stop));
        service.Services.GetRequiredService<CredentialKeyCache>().ForgetAll();
    }

    private static Task<T> WriteAsync<T>(this OtpService service, Func<OtpDbContext, CancellationToken, Task<T>> write) =>
        service.Services.GetRequiredService<OtpStore>().WriteAsync(write, CancellationToken.None);

    private static Task<T> ReadAsync<T>(this OtpService service, Func<OtpDbContext, CancellationToken, Task<T>> read) =>
        service.Services.GetRequiredService<OtpStore>().ReadAsync(read, CancellationToken.None);
}

/// <summary>Counts of rows, and the sums that a decision raises.</summary>
internal sealed record DecisionTraces(int AuditRecords, int Answers, int Credentials, int Bindings, int Contractors, int Failures, int Events);
