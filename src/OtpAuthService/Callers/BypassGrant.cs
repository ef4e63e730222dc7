namespace OtpAuthService.Callers;

/// <summary>
/// The right of one caller to be answered BYPASSED for one institution (promise P6). It is written by people into the callers' file, names
/// who answers for it, and ends by itself.
/// </summary>
/// <param name="Reason">Why it is needed; 1 to 200 characters.</param>
/// <param name="Approver">Who has approved it; 1 to 200 characters.</param>
/// <param name="From">From when on it holds.</param>
/// <param name="NotAfter">Until when; at most <see cref="Longest"/> later.</param>
/// <param name="PerMinute">Bypasses a minute, per replica; 1 to 100,000.</param>
/// <param name="PerContractorPerHour">Bypasses an hour of one contractor, over all replicas; 1 to 1,000.</param>
internal sealed record BypassGrant(
    string Reason, string Approver, DateTimeOffset From, DateTimeOffset NotAfter, int PerMinute, int PerContractorPerHour)
{
    /// <summary>A bypass that nobody has looked at for a quarter of a year is one that nobody answers for.</summary>
    public static readonly TimeSpan Longest = TimeSpan.FromDays(90);

    public bool HoldsAt(DateTimeOffset now) => From <= now && now < NotAfter;
}
