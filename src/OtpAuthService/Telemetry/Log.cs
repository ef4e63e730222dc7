namespace OtpAuthService.Telemetry;

/// <summary>Every message the service logs. None takes a request, an OTP, a key or a contractor id.</summary>
internal static partial class Log
{
    [LoggerMessage(1, LogLevel.Error, "Call {Method} failed by a fault of the service")]
    public static partial void CallFailed(this ILogger log, string method, Exception failure);

    [LoggerMessage(2, LogLevel.Warning, "A call ended without a known result: {Reason}")]
    public static partial void CallWithoutResult(this ILogger log, string reason);

    [LoggerMessage(3, LogLevel.Error, "Not deciding: {Problem} {Detail}")]
    public static partial void StoreProblem(this ILogger log, string problem, string detail);

    [LoggerMessage(4, LogLevel.Information, "Deciding on {Store}")]
    public static partial void StoreWell(this ILogger log, string store);

    [LoggerMessage(5, LogLevel.Debug, "A write lost a race and is run again (run {Run}): {Reason}")]
    public static partial void WriteRunAgain(this ILogger log, int run, string reason);

    [LoggerMessage(6, LogLevel.Warning, "Old answers and events were not swept: {Reason}")]
    public static partial void SweepPostponed(this ILogger log, string reason);

    [LoggerMessage(7, LogLevel.Warning, "Redis is left out for now, the database decides alone: {Reason}")]
    public static partial void ReplayCacheLost(this ILogger log, string reason);

    [LoggerMessage(8, LogLevel.Information, "Redis is asked again")]
    public static partial void ReplayCacheBack(this ILogger log);

    [LoggerMessage(9, LogLevel.Warning, "Embedded default for trying out: SQLite file and KEK under {Folder}. For production set ConnectionStrings__Postgres")]
    public static partial void Embedded(this ILogger log, string folder);

    [LoggerMessage(10, LogLevel.Warning, "Whoever connects in plaintext over loopback is the caller 'local' with the roles {Roles}; for trying out and tests only")]
    public static partial void LocalCaller(this ILogger log, string roles);

    [LoggerMessage(30, LogLevel.Warning, "{Setting} does not ask for TLS, and its server is not on this machine: see 'TLS to PostgreSQL and Redis' in the README")]
    public static partial void StoreInPlaintext(this ILogger log, string setting);

    [LoggerMessage(11, LogLevel.Information, "Schema brought up to date: {Count} migrations applied")]
    public static partial void Migrated(this ILogger log, int count);

    [LoggerMessage(12, LogLevel.Warning, "The schema has a migration that this version does not know: {Migration}")]
    public static partial void SchemaNewer(this ILogger log, string migration);

    [LoggerMessage(13, LogLevel.Error, "The files of '{Name}' cannot be used, what was read before stays in force: {Problem}")]
    public static partial void FilesBroken(this ILogger log, string name, string problem);

    [LoggerMessage(14, LogLevel.Information, "The files of '{Name}' can be used again")]
    public static partial void FilesWell(this ILogger log, string name);

    [LoggerMessage(15, LogLevel.Warning, "Security event {Reason}, caller '{Caller}' {Method}")]
    public static partial void SecurityEvent(this ILogger log, string reason, string caller, string method);

    [LoggerMessage(16, LogLevel.Warning, "Counts of wrong OTPs were not shared with other replicas: {Reason}")]
    public static partial void TalliesNotShared(this ILogger log, string reason);

    [LoggerMessage(17, LogLevel.Error, "Data key {Version} (KEK {Kek}) cannot be opened; what is open already is used until it is too old: {Problem}")]
    public static partial void KekUnavailable(this ILogger log, int version, string kek, string problem);

    [LoggerMessage(18, LogLevel.Information, "The KEK provider opens data keys again")]
    public static partial void KekWell(this ILogger log);

    [LoggerMessage(19, LogLevel.Warning, "Credentials were not brought under the newest data key for now: {Reason}")]
    public static partial void RewrappingPostponed(this ILogger log, string reason);

    [LoggerMessage(20, LogLevel.Information, "Data keys that wrap nothing any more were removed: {Count}")]
    public static partial void DataKeysRemoved(this ILogger log, int count);

    [LoggerMessage(21, LogLevel.Information, "Audit head {Number} {Hash}")]
    public static partial void AuditHead(this ILogger log, long number, string hash);

    [LoggerMessage(22, LogLevel.Warning, "No audit head was signed or shipped for now: {Reason}")]
    public static partial void AuditHeadPostponed(this ILogger log, string reason);

    [LoggerMessage(23, LogLevel.Critical, "The audit records are not as they were written: {Kind}, chain {Chain}, position {Position}: {Detail}")]
    public static partial void AuditBroken(this ILogger log, string kind, int chain, long position, string detail);

    [LoggerMessage(24, LogLevel.Warning, "A line of {Path} is no audit head; it is passed over")]
    public static partial void ShippedHeadUnreadable(this ILogger log, string path);

    [LoggerMessage(25, LogLevel.Warning, "A month of audit records has no partition of its own, for the common one holds records of it already")]
    public static partial void AuditPartitionMissing(this ILogger log);

    [LoggerMessage(26, LogLevel.Warning, "Audit records were dropped with {Partition}, the months before the first that is kept")]
    public static partial void AuditRetired(this ILogger log, string partition);

    [LoggerMessage(31, LogLevel.Error, "{Method} met a stored key that does not open: a row of credentials was altered, exchanged or restored by itself, or its data key was")]
    public static partial void StoredKeyUnusable(this ILogger log, string method);

    [LoggerMessage(32, LogLevel.Error, "Stored keys do not open and were left under an older data key, which is kept for them: {Count}")]
    public static partial void StoredKeysLeft(this ILogger log, int count);

    [LoggerMessage(33, LogLevel.Warning, "The service's role in PostgreSQL can alter and remove audit records: run it as otp_service, see deploy/make-roles.sql")]
    public static partial void AuditCanBeRewritten(this ILogger log);

    [LoggerMessage(34, LogLevel.Information, "Stopping: not ready from now on, endpoints close in {Seconds} s")]
    public static partial void Draining(this ILogger log, double seconds);

    [LoggerMessage(55, LogLevel.Error, "A diagnosis could not look at '{Subject}'")]
    public static partial void CheckFailed(this ILogger log, Exception failure, string subject);

    [LoggerMessage(60, LogLevel.Critical, "The database may have lost commits: {Reason}. Every OTP of a time step up to {Until:O} is refused; see 'After a restore' in the README")]
    public static partial void FenceRaised(this ILogger log, string reason, DateTimeOffset until);
}
