using System.Buffers;
using Google.Protobuf.WellKnownTypes;
using Google.Rpc;
using OtpAuthService.Bindings;
using OtpAuthService.Credentials;
using OtpAuthService.Events;
using OtpAuthService.Institutions;
using OtpAuthService.V1;
using OtpAuthService.Verification;

namespace OtpAuthService.Services;

/// <summary>
/// Reads the fields of a request into domain values and collects what is wrong with them, so that a caller sees every mistake at once.
/// Violations name the rule and never repeat the value.
/// </summary>
internal sealed class RequestReader
{
    private static readonly SearchValues<char> RequestIdAlphabet =
        SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-");

    private static readonly SearchValues<char> OperatorAlphabet =
        SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._@-");

    private readonly BadRequest violations = new();

    public string RequestId(string text) => Check(
        text.Length is >= 16 and <= 64 && !text.AsSpan().ContainsAnyExcept(RequestIdAlphabet),
        text,
        "request_id",
        "must be 16 to 64 of [A-Za-z0-9_-], made at random once per submission");

    public InstitutionId Institution(string text) =>
        Check(InstitutionId.TryParse(text, out var id), id, "institution_id", "must be 1 to 32 of [a-z0-9-]");

    public ContractorRef Contractor(string institution, string contractor) => new(Institution(institution), Contractor(contractor));

    public ContractorId Contractor(string text) =>
        Check(ContractorId.TryParse(text, out var id), id, "contractor_id", "must be 1 to 64 of [A-Za-z0-9._-]");

    public CredentialId Credential(string text, string field = "credential_id") =>
        Check(CredentialId.TryParse(text, out var id), id, field, "must be 4 to 40 letters and digits; spaces and hyphens are ignored");

    public Guid ExportId(string text) =>
        Check(Guid.TryParseExact(text, "N", out var id), id, "export_id", "must be as RequestExport answered");

    public EventPosition? ResumeToken(string text)
    {
        var valid = EventPosition.TryParse(text, out var position);
        Check(valid || text.Length == 0, text, "resume_token", "must be empty, or as StreamEvents gave it");
        return valid ? position : null;
    }

    public Otp Otp(string text, string field = "otp") =>
        Check(Verification.Otp.TryParse(text, out var otp), otp, field, "must be 6 or 8 ASCII digits and nothing else");

    public Channel Channel(Channel channel) =>
        Check(channel != V1.Channel.Unspecified && System.Enum.IsDefined(channel), channel, "channel", "must be set to a known channel");

    public Purpose Purpose(Purpose purpose) =>
        Check(purpose != V1.Purpose.Unspecified && System.Enum.IsDefined(purpose), purpose, "purpose", "must be set to a known purpose");

    /// <summary>Why an operator does something; on record.</summary>
    public string Reason(string text) => Check(
        text.Length is >= 1 and <= 200 && !string.IsNullOrWhiteSpace(text) && !text.Any(char.IsControl),
        text,
        "reason",
        "must be 1 to 200 printable characters");

    /// <summary>The person who does it, where the caller names one; on record.</summary>
    public string? Operator(string text) => Check(
        text.Length <= 64 && !text.AsSpan().ContainsAnyExcept(OperatorAlphabet),
        text.Length == 0 ? null : text,
        "operator_id",
        "must be up to 64 of [A-Za-z0-9._@-]");

    public string DisplayName(string text) => Check(
        text.Length is >= 1 and <= 64 && !string.IsNullOrWhiteSpace(text) && !text.Any(char.IsControl),
        text,
        "display_name",
        "must be 1 to 64 printable characters");

    public InstitutionPolicy Policy(InstitutionPolicy? policy)
    {
        Check(policy is not null, policy, "policy", "must be set; a value in it that is not set becomes the default");
        policy ??= new InstitutionPolicy();
        foreach (var (field, rule) in policy.Violations())
        {
            Check(valid: false, policy, $"policy.{field}", rule);
        }

        return policy;
    }

    /// <summary>A moment that a caller names; null where it is not set.</summary>
    public DateTimeOffset? Moment(Timestamp? moment, string field)
    {
        var valid = moment is null or { Seconds: >= 0 and < 253_402_300_800, Nanos: >= 0 and <= 999_999_999 };
        Check(valid, moment, field, "must be a moment from 1970 to 9999");
        return valid ? moment?.ToDateTimeOffset() : null;
    }

    /// <summary>A span of time that a caller names.</summary>
    public TimeSpan Time(Duration? span, TimeSpan unset, TimeSpan least, TimeSpan most, string field, string rule)
    {
        // Compared in seconds first: Duration holds spans that TimeSpan does not.
        var valid = span is null
            || (span.Seconds >= 0 && span.Seconds <= (long)most.TotalSeconds && span.Nanos is >= 0 and <= 999_999_999 && span.ToTimeSpan() >= least && span.ToTimeSpan() <= most);
        Check(valid, span, field, rule);
        return valid && span is not null ? span.ToTimeSpan() : unset;
    }

    /// <summary>How long a contractor whose credential was lost may register another one.</summary>
    public TimeSpan ReregistrationTime(Duration? span) =>
        Time(span, TimeSpan.FromHours(24), TimeSpan.FromMinutes(10), TimeSpan.FromDays(7), "valid_for", "must be 10 minutes to 7 days");

    /// <summary>How long a temporary OTP can be used.</summary>
    public TimeSpan TemporaryOtpTime(Duration? span) =>
        Time(span, TimeSpan.FromHours(4), TimeSpan.FromMinutes(10), TimeSpan.FromHours(72), "valid_for", "must be 10 minutes to 72 hours");

    /// <summary>Until when a supplier's credentials are taken.</summary>
    public (string Name, DateTimeOffset? NoRegistrationFrom, DateTimeOffset? VerifyUntil) Supplier(Supplier? supplier)
    {
        supplier = Check(supplier is not null, supplier, "supplier", "must be set") ?? new Supplier { Name = "none" };
        Check(supplier.Name.Length > 0 && CredentialImport.IsSupplierName(supplier.Name), supplier.Name, "supplier.name", "must be 1 to 64 printable characters");
        var noRegistrationFrom = Moment(supplier.NoRegistrationFrom, "supplier.no_registration_from");
        var verifyUntil = Moment(supplier.VerifyUntil, "supplier.verify_until");
        Check(!(verifyUntil < noRegistrationFrom), verifyUntil, "supplier.verify_until", "must not be before no_registration_from");
        return (supplier.Name, noRegistrationFrom, verifyUntil);
    }

    /// <summary>The one whose credentials are meant; null: those of all.</summary>
    public string? SupplierName(string text, string field = "supplier") =>
        Check(CredentialImport.IsSupplierName(text), text.Length == 0 ? null : text, field, "must be up to 64 printable characters");

    public T Check<T>(bool valid, T value, string field, string rule)
    {
        if (!valid)
        {
            violations.FieldViolations.Add(new BadRequest.Types.FieldViolation { Field = field, Description = rule });
        }

        return value;
    }

    public void ThrowIfInvalid()
    {
        if (violations.FieldViolations.Count > 0)
        {
            throw GrpcErrors.InvalidArgument(violations);
        }
    }
}
