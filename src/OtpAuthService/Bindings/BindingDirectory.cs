using Microsoft.EntityFrameworkCore;
using OtpAuthService.Credentials;
using OtpAuthService.Institutions;
using OtpAuthService.Storage;

namespace OtpAuthService.Bindings;

/// <summary>Looks up what a decision starts from. It may be out of date by the time of the decision, which checks it again.</summary>
internal sealed class BindingDirectory(OtpStore store)
{
    /// <summary>The contractor's newest binding with its credential, and the institution's policy.</summary>
    public Task<CurrentBinding> FindAsync(ContractorRef contractor, CancellationToken cancellation) =>
        store.ReadAsync(
            async (db, stop) => new CurrentBinding(
                await FindInstitutionAsync(db, contractor.Institution, stop),
                await db.Bindings.AsNoTracking()
                    .Include(b => b.Credential)
                    .Where(b => b.InstitutionId == contractor.Institution && b.ContractorId == contractor.Contractor)
                    .OrderByDescending(b => b.Id)
                    .FirstOrDefaultAsync(stop),
                await db.Contractors.AsNoTracking().SingleOrDefaultAsync(
                    c => c.InstitutionId == contractor.Institution && c.ContractorId == contractor.Contractor, stop)),
            cancellation);

    /// <summary>A credential by the id a customer typed, and the institution's policy.</summary>
    public Task<(Institution Institution, Credential? Credential)> FindCredentialAsync(
        InstitutionId institution, CredentialId credential, CancellationToken cancellation) =>
        store.ReadAsync(
            async (db, stop) => (
                await FindInstitutionAsync(db, institution, stop),
                await db.Credentials.AsNoTracking().SingleOrDefaultAsync(c => c.CredentialId == credential, stop)),
            cancellation);

    /// <summary>The contractor's guess budget; null before the first act that draws on it.</summary>
    public Task<Contractor?> FindBudgetAsync(ContractorRef contractor, CancellationToken cancellation) =>
        store.ReadAsync(
            (db, stop) => db.Contractors.AsNoTracking().SingleOrDefaultAsync(
                c => c.InstitutionId == contractor.Institution && c.ContractorId == contractor.Contractor, stop),
            cancellation);

    /// <summary>All bindings of a contractor, the newest first.</summary>
    public Task<List<Binding>> FindHistoryAsync(ContractorRef contractor, CancellationToken cancellation) =>
        store.ReadAsync(
            (db, stop) => db.Bindings.AsNoTracking()
                .Include(b => b.Credential)
                .Where(b => b.InstitutionId == contractor.Institution && b.ContractorId == contractor.Contractor)
                .OrderByDescending(b => b.Id)
                .ToListAsync(stop),
            cancellation);

    /// <summary>The contractor of the institution whose active binding has the credential.</summary>
    public Task<ContractorId?> FindHolderAsync(InstitutionId institution, long credential, CancellationToken cancellation) =>
        store.ReadAsync(
            (db, stop) => db.Bindings
                .Where(b => b.InstitutionId == institution && b.CredentialRef == credential && b.State == BindingState.Active)
                .Select(b => (ContractorId?)b.ContractorId)
                .SingleOrDefaultAsync(stop),
            cancellation);

    private static async Task<Institution> FindInstitutionAsync(OtpDbContext db, InstitutionId id, CancellationToken stop) =>
        await db.Institutions.AsNoTracking().SingleOrDefaultAsync(i => i.Id == id, stop) ?? throw new InstitutionMissingException(id);
}

/// <summary>What is known of a contractor's binding.</summary>
/// <param name="Institution">The policy that decides.</param>
/// <param name="Binding">The newest binding, or null where the contractor never registered.</param>
/// <param name="Budget">The contractor's guess budget; null before the first act that draws on it.</param>
internal sealed record CurrentBinding(Institution Institution, Binding? Binding, Contractor? Budget);
