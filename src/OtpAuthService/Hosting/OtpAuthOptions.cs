using System.ComponentModel.DataAnnotations;
using OtpAuthService.Callers;
using OtpAuthService.Institutions;
using OtpAuthService.Keys;
using OtpAuthService.Services;

namespace OtpAuthService.Hosting;

/// <summary>Settings under <c>OtpAuth</c>. Every one is checked at start; a wrong one stops the start with a sentence that says what to do.</summary>
internal sealed class OtpAuthOptions : IValidatableObject
{
    public const string Section = "OtpAuth";

    /// <summary>File with the key-encryption keys: 32 bytes in Base64 on a line each, the newest last. It is read whenever data keys are opened, so it stays where it is. The embedded default makes its own.</summary>
    public string? KekFile { get; set; }

    /// <summary>KEKs in a hardware security module instead.</summary>
    public Pkcs11Options? Pkcs11 { get; set; }

    /// <summary>KEKs in a remote key management service instead.</summary>
    public TransitOptions? Transit { get; set; }

    /// <summary>Folder of the embedded default, relative to the working directory.</summary>
    public string DataFolder { get; set; } = ".data";

    /// <summary>The embedded default's database.</summary>
    public string DatabaseFile => Path.Combine(DataFolder, "otpauth.db");

    /// <summary>Lets the embedded default run in the Production environment. Default false: it is one file on one machine.</summary>
    public bool AllowEmbeddedInProduction { get; set; }

    /// <summary>Brings the schema up to date at start. Default: true for the embedded default, false on PostgreSQL.</summary>
    public bool? MigrateOnStart { get; set; }

    /// <summary>How far this machine's clock may be from the database's; 1 s to 30 s, default 5 s. Beyond it nothing is decided.</summary>
    public TimeSpan MaxClockOffset { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>
    /// Contractors whose keys are kept in memory, some 400 bytes each; 1,000 to 10,000,000, default 1,000,000. Whoever is not among them
    /// costs a reading of the database.
    /// </summary>
    [Range(1_000, 10_000_000, ErrorMessage = "OtpAuth__KeyCacheEntries must be from 1000 to 10000000.")]
    public int KeyCacheEntries { get; set; } = 1_000_000;

    /// <summary>How long a key is kept in memory at most; 1 minute to 1 day, default 1 hour.</summary>
    [Range(typeof(TimeSpan), "00:01:00", "1.00:00:00", ErrorMessage = "OtpAuth__KeyCacheAge must be from 00:01:00 to 1.00:00:00.")]
    public TimeSpan KeyCacheAge { get; set; } = TimeSpan.FromHours(1);

    /// <summary>
    /// How long a data key may be used without the KEK provider; 1 minute to 7 days, default 1 hour. It is opened anew at half of that. Whoever
    /// takes the KEK away stops the service within this time; the provider's outages do not show before half of it.
    /// </summary>
    [Range(typeof(TimeSpan), "00:01:00", "7.00:00:00", ErrorMessage = "OtpAuth__DataKeyAge must be from 00:01:00 to 7.00:00:00.")]
    public TimeSpan DataKeyAge { get; set; } = TimeSpan.FromHours(1);

    /// <summary>How often a head of the audit chains is signed, where anything was added; 1 second to 10 minutes, default 30 seconds. What was added since is not yet vouched for.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "00:10:00", ErrorMessage = "OtpAuth__AuditHeadInterval must be from 00:00:01 to 00:10:00.")]
    public TimeSpan AuditHeadInterval { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>File that signed heads of the audit chains are appended to, a line of JSON each; to be carried off the database's machine. Optional: number and hash are also in the log.</summary>
    public string? AuditHeadsFile { get; set; }

    /// <summary>
    /// How long a replica that is told to stop goes on deciding while it says that it is not ready: until whoever sends it calls has heard of that. 0 s to
    /// 60 s, default 0 s; 5 s behind a balancer that looks every second or two.
    /// </summary>
    [Range(typeof(TimeSpan), "00:00:00", "00:01:00", ErrorMessage = "OtpAuth__DrainDelay must be from 00:00:00 to 00:01:00.")]
    public TimeSpan DrainDelay { get; set; }

    /// <summary>For tests whose clock is their own. Not a setting: the binder sets public properties only.</summary>
    internal bool TrustAnyClock { get; set; }

    /// <summary>Shortened by tests. Not settings, as above.</summary>
    internal TimeSpan LongestUnaryCall { get; set; } = CallDeadlines.LongestUnaryCall;

    internal TimeSpan LongestStreamingCall { get; set; } = CallDeadlines.LongestStreamingCall;

    /// <summary>Files of mutual TLS; needed for every https endpoint.</summary>
    public TlsOptions? Tls { get; set; }

    /// <summary>Files of TLS to Redis; for what its connection string cannot say.</summary>
    public RedisTlsOptions? Redis { get; set; }

    /// <summary>JSON file with the callers by the names in their certificates; needed with <see cref="Tls"/>.</summary>
    public string? CallersFile { get; set; }

    /// <summary>
    /// Wrong OTPs of one institution within ten minutes, over all callers, that raise a security event; 1 to 10,000,000, default 2,000.
    /// </summary>
    [Range(1, 10_000_000, ErrorMessage = "OtpAuth__InstitutionFailureSignal must be from 1 to 10000000.")]
    public int InstitutionFailureSignal { get; set; } = 2_000;

    /// <summary>Who connections over loopback without TLS are. On by default in the embedded default only.</summary>
    public LocalCallerOptions? LocalCaller { get; set; }

    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (MaxClockOffset < TimeSpan.FromSeconds(1) || MaxClockOffset > TimeSpan.FromSeconds(30))
        {
            yield return new ValidationResult("OtpAuth__MaxClockOffset must be from 00:00:01 to 00:00:30.");
        }

        if (new object?[] { KekFile, Pkcs11, Transit }.Count(provider => provider is not null) != 1)
        {
            yield return new ValidationResult(
                "One place of the KEK must be set: OtpAuth__KekFile (a file made with '(umask 077; openssl rand -base64 32 > FILE)'), OtpAuth__Pkcs11 or OtpAuth__Transit.");
        }

        foreach (var wrong in (Pkcs11?.Validate(validationContext) ?? []).Concat(Transit?.Validate(validationContext) ?? []))
        {
            yield return new ValidationResult($"OtpAuth__{wrong.ErrorMessage}");
        }

        if (Tls is not null && (Tls.CertificateFile is null || Tls.KeyFile is null || Tls.TrustFile is null || CallersFile is null))
        {
            yield return new ValidationResult(
                "OtpAuth__Tls needs all of OtpAuth__Tls__CertificateFile, OtpAuth__Tls__KeyFile, OtpAuth__Tls__TrustFile and OtpAuth__CallersFile.");
        }

        if (Tls is null && CallersFile is not null)
        {
            yield return new ValidationResult("OtpAuth__CallersFile names callers by their certificates: it needs OtpAuth__Tls__CertificateFile, KeyFile and TrustFile.");
        }

        foreach (var problem in Redis?.FindProblems() ?? [])
        {
            yield return new ValidationResult(problem);
        }

        foreach (var institution in LocalCaller?.Institutions ?? [])
        {
            if (!InstitutionId.TryParse(institution, out _))
            {
                yield return new ValidationResult($"OtpAuth__LocalCaller__Institutions holds '{institution}': an institution id is 1 to 32 of [a-z0-9-].");
            }
        }
    }
}

/// <summary>Files of mutual TLS, PEM each. They are read again when they change.</summary>
internal sealed class TlsOptions
{
    /// <summary>The server's certificate, with intermediates behind it.</summary>
    public string? CertificateFile { get; set; }

    /// <summary>The key of the server's certificate.</summary>
    public string? KeyFile { get; set; }

    /// <summary>Roots under which callers' certificates are believed, and intermediates that callers do not send.</summary>
    public string? TrustFile { get; set; }

    /// <summary>Revocation lists and fingerprints of callers' certificates that are not believed any more; optional.</summary>
    public string? RevokedFile { get; set; }
}

/// <summary>Files of TLS to Redis, PEM each; <c>ssl=true</c> itself stands in the connection string. They are read again at each connection.</summary>
internal sealed class RedisTlsOptions
{
    /// <summary>Roots under which Redis's certificate is believed, and no others. Default: the machine's.</summary>
    public string? TrustFile { get; set; }

    /// <summary>The certificate that is shown to Redis, with intermediates behind it; only with <see cref="KeyFile"/>.</summary>
    public string? CertificateFile { get; set; }

    /// <summary>The key of that certificate.</summary>
    public string? KeyFile { get; set; }

    /// <summary>What is wrong with the settings, a sentence each.</summary>
    public IEnumerable<string> FindProblems()
    {
        if ((CertificateFile is null) != (KeyFile is null))
        {
            yield return "OtpAuth__Redis__CertificateFile and OtpAuth__Redis__KeyFile need each other.";
        }

        (string Setting, string? Path)[] files =
            [(nameof(TrustFile), TrustFile), (nameof(CertificateFile), CertificateFile), (nameof(KeyFile), KeyFile)];
        foreach (var (setting, path) in files.Where(file => file.Path is not null && !File.Exists(file.Path)))
        {
            yield return $"OtpAuth__Redis__{setting} names {path}, which does not exist.";
        }
    }
}

/// <summary>The caller that connections over loopback without TLS are, for trying out and tests.</summary>
internal sealed class LocalCallerOptions
{
    public bool Enabled { get; set; }

    public CallerRoles Roles { get; set; } = CallerRoles.Frontend | CallerRoles.MobileGateway | CallerRoles.Operator;

    /// <summary>Whether it is answered BYPASSED where its roles allow. Default: in the embedded default only.</summary>
    public bool Bypass { get; set; }

    /// <summary>For whom it acts; institutions that do not exist yet are set up at start.</summary>
    public IList<string> Institutions { get; init; } = [];
}
