using Microsoft.EntityFrameworkCore;
using OtpAuthService.Bindings;
using OtpAuthService.Credentials;
using OtpAuthService.Institutions;
using OtpAuthService.Storage;
using OtpAuthService.Verification;

namespace OtpAuthService.Submissions;

/// <summary>
/// A contractor's turn: from here to the commit no other decision of this contractor is made anywhere, and no other claim on the credential.
/// What it shows is current; what is changed on it is written with the verdict.
/// </summary>
internal sealed class Turn(TurnRows rows, PendingDecision pending, DateTimeOffset now, CancellationToken stop)
{
    public ContractorRef Who => pending.Contractor ?? throw new InvalidOperationException("This act is about no contractor.");

    /// <summary>The one moment of everything that is decided in it; whole milliseconds.</summary>
    public DateTimeOffset Now => now;

    public CancellationToken Stop => stop;

    public Institution Policy => pending.Policy ?? throw new InvalidOperationException("This act has no policy.");

    /// <summary>For acts on credentials alone.</summary>
    public OtpDbContext Db => rows.Db;

    /// <summary>The guess budget.</summary>
    public Contractor Contractor => rows.ContractorOf(Who);

    /// <summary>The newest binding, with its credential; null where the contractor never registered.</summary>
    public Binding? Binding => rows.NewestBindingOf(Who);

    /// <summary>The credential that the submitted OTP was held against, as it is now.</summary>
    public Credential CurrentOf(KeyedCredential read) => rows.CredentialAt(read.Id);

    /// <summary>The credential of a binding, as it is now; the act has to hold it (<see cref="PendingDecision.Changes"/>).</summary>
    public Credential CredentialOf(Binding binding) => rows.CredentialAt(binding.CredentialRef);

    /// <summary>Whether the contractor's newest binding is still the one that was read, in the same state.</summary>
    public bool IsCurrent(BindingReading? read) => Binding?.Id == read?.Id && Binding?.State == read?.State;

    /// <summary>Whether another contractor of the institution has an active binding with the credential.</summary>
    public bool IsBoundToAnother(KeyedCredential credential) =>
        rows.HolderOf(Who.Institution, credential.Id) is { } holder && holder.ContractorId != Who.Contractor;

    /// <summary>Whether this institution itself has reported the credential lost.</summary>
    public Task<bool> HasReportedLostAsync(KeyedCredential credential) =>
        rows.Db.LossReports.AnyAsync(r => r.CredentialRef == credential.Id && r.InstitutionId == Who.Institution, stop);

    public void Bind(KeyedCredential credential) => rows.Add(new Binding
    {
        InstitutionId = Who.Institution,
        ContractorId = Who.Contractor,
        CredentialRef = credential.Id,
        RegisteredAt = now,
    });
}
