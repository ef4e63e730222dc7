using Microsoft.EntityFrameworkCore;
using OtpAuthService.Bindings;
using OtpAuthService.Credentials;
using OtpAuthService.Submissions;

namespace OtpAuthService.Verification;

/// <summary>The one authority over time steps: one conditional UPDATE per claim (promise P1).</summary>
internal static class TimeStepLedger
{
    /// <summary>
    /// Claims <paramref name="step"/> of a credential for a contractor whose turn the scope holds. Everything that a claim rests on
    /// stands in the one WHERE; what it refuses is explained afterwards, and the explanation never changes the refusal.
    /// </summary>
    /// <param name="binding">The active binding that the OTP was matched for; null where none is needed yet (Register).</param>
    public static async Task<Claim> ClaimAsync(
        DecisionScope scope, ContractorRef contractor, Credential credential, TimeStep step, long? binding)
    {
        var (db, now, stop) = scope;
        var claimed = await db.Credentials
            .Where(c => c.Id == credential.Id
                && c.LastTimeStep < step
                && c.Epoch == credential.Epoch
                && c.Status == CredentialStatus.Active
                && (c.ValidFrom == null || c.ValidFrom <= now)
                && (c.ValidUntil == null || c.ValidUntil > now)
                && (binding == null || db.Bindings.Any(b => b.Id == binding && b.State == BindingState.Active))
                && db.Contractors.Any(k => k.InstitutionId == contractor.Institution
                    && k.ContractorId == contractor.Contractor
                    && k.ConsecutiveFailures < Contractor.HardLimit
                    && (k.LockedUntil == null || k.LockedUntil <= now)))
            .ExecuteUpdateAsync(set => set.SetProperty(c => c.LastTimeStep, step), stop);
        return claimed == 1 ? Claim.Granted : await ExplainAsync(scope, credential, step, binding);
    }

    /// <summary>The highest claimed step of a credential; <see cref="TimeStep.None"/> where there is none.</summary>
    public static Task<TimeStep> FindLastAsync(DecisionScope scope, Credential credential) =>
        scope.Db.Credentials.Where(c => c.Id == credential.Id).Select(c => c.LastTimeStep).SingleAsync(scope.Stop);

    private static async Task<Claim> ExplainAsync(DecisionScope scope, Credential credential, TimeStep step, long? binding)
    {
        var (db, now, stop) = scope;
        var current = await db.Credentials.AsNoTracking().SingleAsync(c => c.Id == credential.Id, stop);
        if (current.Epoch != credential.Epoch
            || (binding is not null && !await db.Bindings.AnyAsync(b => b.Id == binding && b.State == BindingState.Active, stop)))
        {
            return Claim.OutOfDate;
        }

        if (current.Status != CredentialStatus.Active || current.ValidFrom > now || current.ValidUntil <= now)
        {
            return Claim.Unusable;
        }

        return current.LastTimeStep >= step
            ? Claim.AlreadyUsed
            : throw new InvalidOperationException("A claim was refused for a reason that its explanation does not know.");
    }
}

/// <summary>The result of a claim.</summary>
internal enum Claim
{
    /// <summary>The step is used now, by this decision and no other.</summary>
    Granted,

    /// <summary>The step, or a later one, was claimed before.</summary>
    AlreadyUsed,

    /// <summary>The credential is lost, expired or not yet valid.</summary>
    Unusable,

    /// <summary>Binding or credential have changed since they were read: read again and decide anew.</summary>
    OutOfDate,
}
