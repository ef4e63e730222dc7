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
        var now = time.GetUtcNow();
        switch (binding?.State)
        {
            case BindingState.Active:
            case BindingState.Lost when budget?.TemporaryOtp?.IsTakenAt(now) == true:
                return budget?.LockoutAt(now, institution.Limits) is { } lockout
                    ? (Requirement.Blocked, lockout.Until - now)
                    : (Requirement.Required, null);
            case null or BindingState.Suspended:
            case BindingState.Lost when binding.IsReregistrationOpenAt(now):
                return (Requirement.NotRegistered, null);
            default:
                return (Requirement.Blocked, null);
        }
    }

    private async Task<bool> MayBypassAsync(Caller caller, ContractorRef contractor, CancellationToken cancellation)
    {
        await bypass.FindGrantAsync(caller, contractor.Institution, cancellation);
        var (binding, budget) = await bindings.FindStateAsync(contractor, cancellation);
        return binding is not { State: BindingState.Stopped } && budget is not { NeverBypassed: true };
    }
}
