using Microsoft.EntityFrameworkCore;
using OtpAuthService.Credentials;
using OtpAuthService.Institutions;
using OtpAuthService.Keys;
using OtpAuthService.Storage;
using OtpAuthService.Telemetry;

namespace OtpAuthService.Bindings;

/// <summary>Looks up what a decision starts from. It may be out of date by the time of the decision, which checks it again.</summary>
internal sealed class BindingDirectory(
    OtpStore store, InstitutionDirectory institutions, NewestBindings newestBindings, CredentialKeyCache keys, KeyWrapping wrapping)
{
    /// <summary>The contractor's newest binding with its credential, and the institution's policy. The caller lets go of the credential's key.</summary>
    /// <exception cref="KekUnavailableException">The key cannot be opened.</exception>
    public async ValueTask<CurrentBinding> FindAsync(ContractorRef contractor, Reading reading, CancellationToken cancellation)
    {
        using var span = Spans.Start("find binding");
        var institution = await institutions.FindAsync(contractor.Institution, cancellation);
        if (reading == Reading.Remembered && keys.TryGet(contractor, out var remembered))
        {
            span?.SetTag("otp.key_cache", "hit");
            return new CurrentBinding(institution, new BindingReading(remembered.Binding, BindingState.Active), remembered.Credential, FailuresCounted: false);
        }

        span?.SetTag("otp.key_cache", "miss");
        var newest = await newestBindings.FindAsync(contractor);
        if (newest is not { Reading: { State: BindingState.Active } binding })
        {
            keys.Forget(contractor);
            return new CurrentBinding(institution, newest?.Reading, null, FailuresCounted: false) { Former = newest?.Credential };
        }

        var credential = await wrapping.OpenAsync(newest.Value.Credential, cancellation);
        if (newest.Value.FailuresCounted)
        {
            // Not for long, or the contractor is under attack: until then each act takes its turn anyway.
            keys.Forget(contractor);
        }
        else
        {
            // Under the institution's own string: a million entries would otherwise keep a million copies of it.
            keys.Keep(contractor with { Institution = institution.Id }, new BoundKey(binding.Id, credential));
        }

        return new CurrentBinding(institution, binding, credential, newest.Value.FailuresCounted);
    }

    /// <summary>The credential of a binding that has ended. The caller lets go of its key.</summary>
    /// <inheritdoc cref="FindAsync" path="/exception"/>
    public ValueTask<KeyedCredential> OpenAsync(WrappedCredential former, CancellationToken cancellation) => wrapping.OpenAsync(former, cancellation);

    /// <summary>The contractor's newest binding, whatever its state, and its credential. The caller lets go of the key.</summary>
    /// <inheritdoc cref="FindAsync" path="/exception"/>
    public async Task<(Binding? Binding, KeyedCredential? Credential)> FindWithKeyAsync(ContractorRef contractor, CancellationToken cancellation)
    {
        var (binding, _) = await FindStateAsync(contractor, cancellation);
        return (binding, binding is null ? null : await wrapping.OpenAsync(WrappedCredential.Of(binding.Credential), cancellation));
    }

    /// <summary>Has the next <see cref="FindAsync"/> read the database.</summary>
    public void Forget(ContractorRef contractor) => keys.Forget(contractor);

    /// <summary>The contractor's newest binding and guess budget as they are; the budget is null before the first act that draws on it.</summary>
    public Task<(Binding? Binding, Contractor? Budget)> FindStateAsync(ContractorRef contractor, CancellationToken cancellation) =>
        store.ReadAsync(
            async (db, stop) => (await History(db, contractor).FirstOrDefaultAsync(stop), await FindBudgetAsync(db, contractor, stop)), cancellation);

    /// <summary>A credential by the id a customer typed; null where there is none.</summary>
    public Task<Credential?> FindCredentialAsync(CredentialId credential, CancellationToken cancellation) =>
        store.ReadAsync(
            (db, stop) => db.Credentials.AsNoTracking().SingleOrDefaultAsync(c => c.CredentialId == credential, stop),
            cancellation);

    /// <summary>The same with its key, which the caller lets go of, and the institution's policy.</summary>
    /// <inheritdoc cref="FindAsync" path="/exception"/>
    public async Task<(Institution Institution, KeyedCredential? Credential)> FindKeyedAsync(
        InstitutionId institution, CredentialId credential, CancellationToken cancellation)
    {
        var policy = await institutions.FindAsync(institution, cancellation);
        return (policy, await FindCredentialAsync(credential, cancellation) is { } found ? await wrapping.OpenAsync(WrappedCredential.Of(found), cancellation) : null);
    }

    /// <summary>All bindings of a contractor, the newest first, and the guess budget as in <see cref="FindStateAsync"/>.</summary>
    public Task<(List<Binding> History, Contractor? Budget)> FindHistoryAsync(ContractorRef contractor, CancellationToken cancellation) =>
        store.ReadAsync(
            async (db, stop) => (await History(db, contractor).ToListAsync(stop), await FindBudgetAsync(db, contractor, stop)), cancellation);

    /// <summary>The contractor of the institution whose active binding has the credential.</summary>
    public Task<ContractorId?> FindHolderAsync(InstitutionId institution, long credential, CancellationToken cancellation) =>
        store.ReadAsync(
            (db, stop) => db.Bindings
                .Where(b => b.InstitutionId == institution && b.CredentialRef == credential && b.State == BindingState.Active)
                .Select(b => (ContractorId?)b.ContractorId)
                .SingleOrDefaultAsync(stop),
            cancellation);

    private static Task<Contractor?> FindBudgetAsync(OtpDbContext db, ContractorRef contractor, CancellationToken stop) =>
        db.Contractors.AsNoTracking().SingleOrDefaultAsync(
            c => c.InstitutionId == contractor.Institution && c.ContractorId == contractor.Contractor, stop);

    private static IQueryable<Binding> History(OtpDbContext db, ContractorRef contractor) => db.Bindings.AsNoTracking()
        .Include(b => b.Credential)
        .Where(b => b.InstitutionId == contractor.Institution && b.ContractorId == contractor.Contractor)
        .OrderByDescending(b => b.Id);
}

/// <summary>What is known of a contractor's binding.</summary>
/// <param name="Institution">The policy that decides.</param>
/// <param name="Binding">The newest binding, or null where the contractor never registered.</param>
/// <param name="Credential">The credential of an active binding.</param>
/// <param name="FailuresCounted">Whether something was counted against the contractor: then nothing is to be expected of the next OTP.</param>
internal readonly record struct CurrentBinding(Institution Institution, BindingReading? Binding, KeyedCredential? Credential, bool FailuresCounted)
{
    /// <summary>The credential of a binding that has ended; null for an active one.</summary>
    public WrappedCredential? Former { get; init; }

    /// <summary>What an act that takes an OTP comes to where there is no active binding whose credential it could be held against.</summary>
    public Outcome OutcomeWithoutCredential => Binding?.State switch
    {
        null => Outcome.NotRegistered,
        BindingState.Suspended or BindingState.Stopped => Outcome.Suspended,
        BindingState.Lost => Outcome.Lost,
        var state => throw new InvalidOperationException($"A binding in state {state} is no contractor's newest one, or has a credential."),
    };
}
