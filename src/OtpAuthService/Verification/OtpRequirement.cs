using OtpAuthService.Bindings;

namespace OtpAuthService.Verification;

/// <summary>GetRequirement: whether a login needs an OTP. Reads only.</summary>
internal sealed class OtpRequirement(BindingDirectory bindings, TimeProvider time)
{
    public async Task<(Requirement Requirement, TimeSpan? RetryAfter)> FindAsync(
        ContractorRef contractor, Channel channel, CancellationToken cancellation)
    {
        if (channel == Channel.FeaturePhone)
        {
            return (Requirement.Exempt, null);
        }

        var current = await bindings.FindAsync(contractor, cancellation);
        if (current.Binding is not { State: BindingState.Active })
        {
            return (Requirement.NotRegistered, null);
        }

        var now = time.GetUtcNow();
        return current.Budget?.LockoutAt(now) is { } lockout
            ? (Requirement.Blocked, lockout.Until - now)
            : (Requirement.Required, null);
    }
}
