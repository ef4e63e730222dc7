using System.Collections.Frozen;

namespace OtpAuthService.Callers;

/// <summary>Who may call what. A method that is not in the table is refused to everyone.</summary>
internal static class Rights
{
    private const CallerRoles Customers = CallerRoles.Frontend;
    private const CallerRoles CustomersOrPhones = CallerRoles.Frontend | CallerRoles.MobileGateway;
    private const CallerRoles Operators = CallerRoles.Operator;
    private const CallerRoles Readers = CallerRoles.Operator | CallerRoles.Auditor;

    private static readonly FrozenDictionary<string, CallerRoles> ByMethod = new Dictionary<string, CallerRoles>
    {
        ["/otpauth.v1.OtpAuth/GetRequirement"] = CustomersOrPhones,
        ["/otpauth.v1.OtpAuth/Register"] = Customers,
        ["/otpauth.v1.OtpAuth/Verify"] = CustomersOrPhones,
        ["/otpauth.v1.OtpAuth/Suspend"] = Customers,
        ["/otpauth.v1.OtpAuth/Replace"] = Customers,
        ["/otpauth.v1.OtpAuth/Resynchronize"] = Customers,

        ["/otpauth.v1.OtpOperations/GetInstitution"] = Readers,
        ["/otpauth.v1.OtpOperations/SetInstitutionPolicy"] = Operators,
        ["/otpauth.v1.OtpOperations/IssueCredential"] = Operators,
        ["/otpauth.v1.OtpOperations/ImportCredentials"] = Operators,
        ["/otpauth.v1.OtpOperations/SetSupplier"] = Operators,
        ["/otpauth.v1.OtpOperations/GetSuppliers"] = Readers,
        ["/otpauth.v1.OtpOperations/RequestExport"] = Operators,
        ["/otpauth.v1.OtpOperations/ConfirmExport"] = Operators,
        ["/otpauth.v1.OtpOperations/ExportCredentials"] = Operators,
        ["/otpauth.v1.OtpOperations/GetCredential"] = Readers,
        ["/otpauth.v1.OtpOperations/GetBinding"] = Readers,
        ["/otpauth.v1.OtpOperations/ReportLost"] = Operators,
        ["/otpauth.v1.OtpOperations/OpenReregistration"] = Operators,
        ["/otpauth.v1.OtpOperations/Unlock"] = Operators,
        ["/otpauth.v1.OtpOperations/SuspendBinding"] = Operators,
        ["/otpauth.v1.OtpOperations/ResumeBinding"] = Operators,
        ["/otpauth.v1.OtpOperations/IssueTemporaryOtp"] = Operators,
        ["/otpauth.v1.OtpOperations/ConfirmTemporaryOtp"] = Operators,
        ["/otpauth.v1.OtpOperations/StopBypass"] = Operators,
        ["/otpauth.v1.OtpOperations/ResumeBypass"] = Operators,
        ["/otpauth.v1.OtpOperations/SetBypassOptOut"] = Operators,
        ["/otpauth.v1.OtpOperations/CheckOtp"] = Operators,
        ["/otpauth.v1.OtpOperations/QueryAudit"] = Readers,
        ["/otpauth.v1.OtpOperations/VerifyAudit"] = Readers,
        ["/otpauth.v1.OtpOperations/RotateKeys"] = Operators,
        ["/otpauth.v1.OtpOperations/GetKeyStatus"] = Readers,
        ["/otpauth.v1.OtpOperations/RaiseFence"] = Operators,
        ["/otpauth.v1.OtpOperations/GetFence"] = Readers,
        ["/otpauth.v1.OtpOperations/StreamEvents"] = Readers,
        ["/otpauth.v1.OtpOperations/Diagnose"] = Readers,
    }.ToFrozenDictionary();

    /// <summary>Services of the platform that decide nothing and tell nothing of a contractor: health, and reflection where it is on.</summary>
    public static bool IsOpen(string method) =>
        method.StartsWith("/grpc.health.v1.Health/", StringComparison.Ordinal)
        || method.StartsWith("/grpc.reflection.", StringComparison.Ordinal);

    public static bool Allow(Caller caller, string method) => ByMethod.TryGetValue(method, out var roles) && caller.Has(roles);
}
