using System.Collections.Frozen;
using OtpAuthService.Institutions;

namespace OtpAuthService.Callers;

/// <summary>The authenticated client process behind a call.</summary>
/// <param name="Id">Names it in records; a request id is unique per caller.</param>
/// <param name="Roles">What it may do.</param>
/// <param name="Institutions">For whom it may act.</param>
internal sealed record Caller(string Id, CallerRoles Roles, FrozenSet<InstitutionId> Institutions)
{
    /// <summary>How its customers may reach it; narrows what its roles allow.</summary>
    public FrozenSet<Channel> Channels { get; init; } = [Channel.PcBrowser, Channel.Smartphone, Channel.FeaturePhone];

    /// <summary>Calls per second that each replica takes from it, with as many at once after a quiet second; null: any number.</summary>
    public int? CallsPerSecond { get; init; }

    /// <summary>Wrong OTPs that may come through it.</summary>
    public FailureBudget FailureBudget { get; init; } = FailureBudget.Default;

    /// <summary>It is nobody from then on; null: no end.</summary>
    public DateTimeOffset? NotAfter { get; init; }

    /// <summary>Where it may answer for contractors without an OTP.</summary>
    public FrozenDictionary<InstitutionId, BypassGrant> Bypasses { get; init; } = FrozenDictionary<InstitutionId, BypassGrant>.Empty;

    public bool Has(CallerRoles role) => (Roles & role) != 0;

    /// <summary>The channel in a request is only compared with the role; it never gives a right (promise P6).</summary>
    public bool MaySay(Channel channel) =>
        Has(channel == Channel.FeaturePhone ? CallerRoles.MobileGateway : CallerRoles.Frontend) && Channels.Contains(channel);
}

/// <summary>What a caller may do; the table is <see cref="Rights"/>.</summary>
[Flags]
internal enum CallerRoles
{
    None = 0,

    /// <summary>Internet banking: registers, verifies and suspends for contractors it has authenticated.</summary>
    Frontend = 1,

    /// <summary>Feature-phone banking: answered without an OTP.</summary>
    MobileGateway = 2,

    /// <summary>The bank's help desk.</summary>
    Operator = 4,

    /// <summary>Reads records.</summary>
    Auditor = 8,
}
