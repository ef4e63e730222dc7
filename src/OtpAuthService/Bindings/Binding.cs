using OtpAuthService.Credentials;
using OtpAuthService.Institutions;

namespace OtpAuthService.Bindings;

/// <summary>
/// A contractor's use of one credential at one institution. Rows are kept as history; the newest one of a contractor is current.
/// <code>
///                 Register                     Suspend (own OTP)
///   (no binding) ─────────▶ Active ──────────────────────────────▶ Suspended
///                           │ ▲ │                                       │
///                           │ │ └── Replace: Replaced, and a new row    │
///                           │ ├── Register: a new row, same or other credential
///                           │ └──────────────────────────────────────── Lost, while re-registration is open; other credential only
///                           │                                             ▲
///                           ├── SuspendBinding ─▶ Stopped ── ReportLost ──┤
///                           │ ◀── ResumeBinding ────┘                     │
///                           └──────────────────── ReportLost ─────────────┘
/// </code>
/// </summary>
internal sealed class Binding
{
    public long Id { get; init; }

    public required InstitutionId InstitutionId { get; init; }

    public required ContractorId ContractorId { get; init; }

    /// <summary>The row of the bound credential.</summary>
    public required long CredentialRef { get; init; }

    public Credential Credential { get; init; } = null!;

    public BindingState State { get; set; } = BindingState.Active;

    public required DateTimeOffset RegisteredAt { get; init; }

    public DateTimeOffset? EndedAt { get; set; }

    /// <summary>For a lost one: until when the contractor may register another credential.</summary>
    public DateTimeOffset? ReregistrationUntil { get; set; }

    public BindingReading Reading => new(Id, State);

    public bool IsReregistrationOpenAt(DateTimeOffset now) => ReregistrationUntil > now;

    public void Suspend(DateTimeOffset now)
    {
        State = BindingState.Suspended;
        EndedAt = now;
    }

    public void Replace(DateTimeOffset now)
    {
        State = BindingState.Replaced;
        EndedAt = now;
    }

    public void ReportLost(DateTimeOffset now)
    {
        State = BindingState.Lost;
        EndedAt = now;
    }
}

/// <summary>A binding as it was read: what a decision that rests on it compares with.</summary>
internal readonly record struct BindingReading(long Id, BindingState State);

/// <summary>Where a binding is in its life. Stored as a number: never renumber.</summary>
internal enum BindingState
{
    /// <summary>OTPs are asked for and decided on. At most one per contractor, and per credential within an institution.</summary>
    Active = 1,

    /// <summary>The contractor has stopped using OTPs (利用停止).</summary>
    Suspended = 2,

    /// <summary>The credential was reported lost: every act is refused until an operator helps.</summary>
    Lost = 3,

    /// <summary>Another credential took over (端末変更).</summary>
    Replaced = 4,

    /// <summary>The bank has stopped it: every act is refused until an operator resumes it.</summary>
    Stopped = 5,
}
