using Google.Protobuf.WellKnownTypes;
using OtpAuthService.V1;

namespace OtpAuthService.Institutions;

/// <summary>A policy as operators read and write it. On the wire a value that is not set is the default.</summary>
internal static class PolicyForms
{
    /// <summary>What is wrong with it: field and rule.</summary>
    public static IEnumerable<(string Field, string Rule)> Violations(this InstitutionPolicy policy)
    {
        var limits = LimitsOf(policy);
        if (!System.Enum.IsDefined(policy.AcceptanceWindow))
        {
            yield return ("acceptance_window", "must be a known profile");
        }

        if (limits.Temporary is < 1 or > 5)
        {
            yield return ("temporary_limit", "must be from 1 to 5");
        }

        if (limits.Hard <= limits.Temporary || limits.Hard > 10)
        {
            yield return ("hard_limit", "must be above temporary_limit and at most 10");
        }

        if (limits.Lock < GuessLimits.Loosest.Lock || limits.Lock > TimeSpan.FromHours(24))
        {
            yield return ("temporary_lock", "must be from 30 minutes to 24 hours");
        }

        if (!System.Enum.IsDefined(policy.NotRegisteredLogin))
        {
            yield return ("not_registered_login", "must be a known decision");
        }

        if (!System.Enum.IsDefined(policy.SuspendedLogin))
        {
            yield return ("suspended_login", "must be a known decision");
        }

        if (policy.ChannelsNeedingOtp.Any(channel => channel == Channel.Unspecified || !System.Enum.IsDefined(channel)))
        {
            yield return ("channels_needing_otp", "must be known channels");
        }

        if (!System.Enum.IsDefined(policy.ForeignLossReports))
        {
            yield return ("foreign_loss_reports", "must be known");
        }

        if (!System.Enum.IsDefined(policy.OutcomeDetail))
        {
            yield return ("outcome_detail", "must be known");
        }

        if (!System.Enum.IsDefined(policy.AuditContractorIds))
        {
            yield return ("audit_contractor_ids", "must be known");
        }

        if (policy is { OutcomeDetail: OutcomeDetail.Generic } && (policy.NotRegisteredLogin != Decision.Deny || policy.SuspendedLogin != Decision.Deny))
        {
            yield return ("outcome_detail", "can be generic only where not_registered_login and suspended_login are DENY: to allow them would tell who is registered");
        }
    }

    /// <summary>Sets all of a valid policy.</summary>
    public static void ApplyTo(this InstitutionPolicy policy, Institution institution)
    {
        var steps = policy.AcceptanceWindow == AcceptanceWindowProfile.Strict ? 0 : 1;
        (institution.LookBackSteps, institution.LookAheadSteps) = (steps, steps);
        (institution.TemporaryLimit, institution.HardLimit, institution.TemporaryLock) = LimitsOf(policy);
        institution.NotRegisteredLogin = policy.NotRegisteredLogin == Decision.Deny ? Decision.Deny : Decision.Allow;
        institution.SuspendedLogin = policy.SuspendedLogin == Decision.Deny ? Decision.Deny : Decision.Allow;
        institution.ChannelsNeedingOtp = policy.ChannelsNeedingOtp.Count == 0
            ? Channels.PcBrowser | Channels.Smartphone
            : policy.ChannelsNeedingOtp.Aggregate(Channels.None, (all, channel) => all | ChannelSets.Of(channel));
        institution.ForeignLossReports = policy.ForeignLossReports == ForeignLossReports.Block ? ForeignLossReports.Block : ForeignLossReports.Signal;
        institution.OutcomeDetail = policy.OutcomeDetail == OutcomeDetail.Generic ? OutcomeDetail.Generic : OutcomeDetail.Full;
        institution.AuditContractorIds = policy.AuditContractorIds == AuditContractorIds.KeyedHash ? AuditContractorIds.KeyedHash : AuditContractorIds.Plain;
        institution.TemporaryOtpNeedsConfirmation = policy.TemporaryOtpNeedsConfirmation;
        institution.ContractorMayUnlock = policy.ContractorMayUnlock;
    }

    public static InstitutionPolicy ToWire(this Institution institution)
    {
        var policy = new InstitutionPolicy
        {
            AcceptanceWindow = (institution.LookBackSteps, institution.LookAheadSteps) switch
            {
                (0, 0) => AcceptanceWindowProfile.Strict,
                _ => AcceptanceWindowProfile.Default,
            },
            TemporaryLimit = institution.TemporaryLimit,
            HardLimit = institution.HardLimit,
            TemporaryLock = institution.TemporaryLock.ToDuration(),
            NotRegisteredLogin = institution.NotRegisteredLogin,
            SuspendedLogin = institution.SuspendedLogin,
            ForeignLossReports = institution.ForeignLossReports,
            OutcomeDetail = institution.OutcomeDetail,
            AuditContractorIds = institution.AuditContractorIds,
            TemporaryOtpNeedsConfirmation = institution.TemporaryOtpNeedsConfirmation,
            ContractorMayUnlock = institution.ContractorMayUnlock,
        };
        policy.ChannelsNeedingOtp.AddRange(System.Enum.GetValues<Channel>().Where(c => c != Channel.Unspecified && institution.NeedsOtp(c)));
        return policy;
    }

    private static GuessLimits LimitsOf(InstitutionPolicy policy) => new(
        policy.TemporaryLimit == 0 ? GuessLimits.Loosest.Temporary : policy.TemporaryLimit,
        policy.HardLimit == 0 ? GuessLimits.Loosest.Hard : policy.HardLimit,
        LockOf(policy.TemporaryLock));

    /// <summary>Whole milliseconds, as it is stored; what is no duration of a day at most is none at all, and refused as too short.</summary>
    private static TimeSpan LockOf(Duration? duration) => duration switch
    {
        null => GuessLimits.Loosest.Lock,
        { Seconds: >= 0 and <= 2 * 86_400, Nanos: >= 0 and <= 999_999_999 } => TimeSpan.FromMilliseconds((duration.Seconds * 1_000) + (duration.Nanos / 1_000_000)),
        _ => TimeSpan.Zero,
    };
}
