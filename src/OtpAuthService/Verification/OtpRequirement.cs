using OtpAuthService.Bindings;
using OtpAuthService.Callers;
using OtpAuthService.Institutions;

namespace OtpAuthService.Verification;

/// <summary>GetRequirement: whether a login needs an OTP. Reads only.</summary>
internal sealed class OtpRequirement(BindingDirectory bindings, InstitutionDirectory institutions, Bypass bypass, TimeProvider time)
{
    public async Task<(Requirement Requirement, TimeSpan? RetryAfter)> FindAsync(
        Caller caller, ContractorRef contractor, Channel channel, CancellationToken cancellation)
    {
        if (channel == Channel.FeaturePhone)
        {
            return (await MayBypassAsync(caller, contractor, cancellation) ? Requirement.Exempt : Requirement.Blocked, null);
        }

        var institution = await institutions.FindAsync(contractor.Institution, cancellation);
        if (!institution.NeedsOtp(channel))
        {
            return (Requirement.Exempt, null);
        }

        var (binding, budget) = await bindings.FindStateAsync(contractor, cancellation);
        if (binding is { State: BindingState.Lost })
        {
            return (Requirement.Blocked, null);
        }

        if (binding is not { State: BindingState.Active })
        {
            return (Requirement.NotRegistered, null);
        }

        var now = time.GetUtcNow();
        return budget?.LockoutAt(now, institution.Limits) is { } lockout
            ? (Requirement.Blocked, lockout.Until - now)
            : (Requirement.Required, null);
    }

    private async Task<bool> MayBypassAsync(Caller caller, ContractorRef contractor, CancellationToken cancellation)
    {
        await bypass.FindGrantAsync(caller, contractor.Institution, cancellation);
        var (_, budget) = await bindings.FindStateAsync(contractor, cancellation);
        return budget is not { NeverBypassed: true };
    }
}
