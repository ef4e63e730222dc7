using OtpAuthService.V1;

namespace OtpCtl.Commands.Binding;

/// <summary>An audit record about a contractor, with what the records around it say of it.</summary>
/// <param name="Record">As it was written.</param>
internal sealed record RecordedAnswer(AuditRecord Record)
{
    private static readonly string[] OtpRpcs = ["Register", "Verify", "Suspend", "Replace", "Resynchronize"];

    /// <summary>Wrong OTPs in a row by then; where this is one, it is the last of them.</summary>
    public required int Failures { get; init; }

    /// <summary>False where their row may have begun before the records that were read: there were at least so many.</summary>
    public required bool IsWholeRow { get; init; }

    /// <summary>Whether, as far as was read, they were all counted under the policy that decided this; another one may have had other limits.</summary>
    public required bool IsUnderOnePolicy { get; init; }

    /// <summary>The last of them before this one.</summary>
    public required AuditRecord? LastFailure { get; init; }

    /// <summary>What claimed a time step of the same credential last before this.</summary>
    public required AuditRecord? LastClaim { get; init; }

    /// <summary>What was told last before this that an OTP of the same credential is out of sync.</summary>
    public required AuditRecord? LastOutOfSync { get; init; }

    /// <summary>Whether the contractor's wish about bypasses was changed after this.</summary>
    public required bool IsBeforeOptOut { get; init; }

    /// <summary>An act of the contractor's own: it takes an OTP, or is answered without one by policy or bypass.</summary>
    public static bool IsOfOtp(AuditRecord record) => OtpRpcs.Contains(record.Rpc);

    /// <summary>Whether it counts against the contractor. CheckOtp never does.</summary>
    public static bool IsFailure(AuditRecord record) =>
        IsOfOtp(record) && record.Outcome is Outcome.Mismatch or Outcome.OutOfSync or Outcome.CredentialUnknown;

    /// <summary>Whether it ends the row of wrong OTPs.</summary>
    public static bool EndsRow(AuditRecord record) => record.Outcome == Outcome.Accepted && (IsOfOtp(record) || record.Rpc == "Unlock");
}
