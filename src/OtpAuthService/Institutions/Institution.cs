using OtpAuthService.Credentials;

namespace OtpAuthService.Institutions;

/// <summary>A bank that uses the service, with the policy its contractors are decided by.</summary>
internal sealed class Institution
{
    public required InstitutionId Id { get; init; }

    /// <summary>The name that a token program shows beside the OTP.</summary>
    public required string DisplayName { get; set; }

    /// <summary>Time steps before the expected one that are accepted; 0 to 2.</summary>
    public int LookBackSteps { get; set; } = 1;

    /// <summary>Time steps after the expected one that are accepted; 0 to 2.</summary>
    public int LookAheadSteps { get; set; } = 1;

    /// <summary>What a login of a contractor without a credential is answered; OTP is opt-in, so ALLOW by default.</summary>
    public Decision NotRegisteredLogin { get; set; } = Decision.Allow;

    /// <summary>What a login of a contractor who stopped using OTPs is answered; ALLOW by default, as in the notice.</summary>
    public Decision SuspendedLogin { get; set; } = Decision.Allow;

    /// <summary>Channels whose logins ask for an OTP. With the feature phone among them nobody is bypassed here, whatever grants say.</summary>
    public Channels ChannelsNeedingOtp { get; set; } = Channels.PcBrowser | Channels.Smartphone;

    /// <summary>Wrong OTPs in a row that lock for <see cref="TemporaryLock"/>; 1 to 5.</summary>
    public int TemporaryLimit { get; set; } = GuessLimits.Loosest.Temporary;

    /// <summary>Wrong OTPs in a row that lock until an operator unlocks; above <see cref="TemporaryLimit"/>, at most 10.</summary>
    public int HardLimit { get; set; } = GuessLimits.Loosest.Hard;

    /// <summary>30 minutes to 24 hours.</summary>
    public TimeSpan TemporaryLock { get; set; } = GuessLimits.Loosest.Lock;

    /// <summary>What a loss reported at another institution means here.</summary>
    public ForeignLossReports ForeignLossReports { get; set; } = ForeignLossReports.Signal;

    /// <summary>How much answers tell.</summary>
    public OutcomeDetail OutcomeDetail { get; set; } = OutcomeDetail.Full;

    /// <summary>How audit records name its contractors.</summary>
    public AuditContractorIds AuditContractorIds { get; set; } = AuditContractorIds.Plain;

    /// <summary>Whether a temporary OTP is taken only once a second operator has confirmed it.</summary>
    public bool TemporaryOtpNeedsConfirmation { get; set; }

    /// <summary>Whether a contractor who is locked for a time may end that by two consecutive OTPs.</summary>
    public bool ContractorMayUnlock { get; set; }

    /// <summary>Since when nobody is bypassed here, whatever grants say; null: they are (promise P6's kill switch).</summary>
    public DateTimeOffset? BypassStoppedAt { get; set; }

    /// <summary>Grows by one with every change of policy.</summary>
    public int PolicyVersion { get; set; } = 1;

    /// <summary>Read with the policy, for it is in force as soon.</summary>
    public Suppliers Suppliers { get; set; } = Suppliers.WithoutDates;

    public GuessLimits Limits => new(TemporaryLimit, HardLimit, TemporaryLock);

    public required DateTimeOffset CreatedAt { get; init; }

    /// <summary>Whether a credential of that status is refused here, for a loss that another institution has reported.</summary>
    public bool Blocks(CredentialStatus status) => status switch
    {
        CredentialStatus.Active => false,
        CredentialStatus.Lost => ForeignLossReports == ForeignLossReports.Block,
        _ => throw new InvalidOperationException($"Status {status} is not known."),
    };

    public bool NeedsOtp(Channel channel) => (ChannelsNeedingOtp & ChannelSets.Of(channel)) != 0;

    /// <summary>The decision where no OTP can be checked because the contractor uses none. Everything but a login is denied.</summary>
    public Decision DecideWithoutCredential(Outcome outcome, Purpose purpose) => (outcome, purpose) switch
    {
        (Outcome.NotRegistered, Purpose.Login) => NotRegisteredLogin,
        (Outcome.Suspended, Purpose.Login) => SuspendedLogin,
        _ => Decision.Deny,
    };
}

/// <summary>A caller acts for an institution that was never set up here.</summary>
internal sealed class InstitutionMissingException(InstitutionId id) : Exception($"Institution '{id}' is not set up on this service.");
