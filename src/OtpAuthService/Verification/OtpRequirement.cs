using OtpAuthService.Bindings;
using OtpAuthService.Institutions;

namespace OtpAuthService.Verification;

/// <summary>GetRequirement: whether a login needs an OTP. Reads only.</summary>
internal sealed class OtpRequirement(BindingDirectory bindings, InstitutionDirectory institutions, TimeProvider time)
{
    public async Task<(Requirement Requirement, TimeSpan? RetryAfter)> FindAsync(
        ContractorRef contractor, Channel channel, CancellationToken cancellation)
    {
        if (channel == Channel.FeaturePhone)
        {
            return (Requirement.Exempt, null);
        }

        await institutions.FindAsync(contractor.Institution, cancellation);
        var (binding, budget) = await bindings.FindStateAsync(contractor, cancellation);
        if (binding is not { State: BindingState.Active })
        {
            return (Requirement.NotRegistered, null);
        }

        var now = time.GetUtcNow();
        return budget?.LockoutAt(now) is { } lockout
            ? (Requirement.Blocked, lockout.Until - now)
            : (Requirement.Required, null);
    }
}
