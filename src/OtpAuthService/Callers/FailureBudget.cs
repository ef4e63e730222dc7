namespace OtpAuthService.Callers;

/// <summary>
/// Wrong OTPs that may come through one caller for one institution within <see cref="FailureTallies.Window"/>, over all contractors and replicas
/// (promise P5). Few tries at each of many contractors never lock any of them, and show here.
/// </summary>
/// <param name="Signal">From so many on a security event is raised.</param>
/// <param name="Stop">From so many on the caller's OTPs for that institution are not looked at, until the window has moved on.</param>
internal sealed record FailureBudget(int Signal, int Stop)
{
    /// <summary>A front end with 100 logins a minute, of which three in a hundred fail, has 30 in ten minutes.</summary>
    public static readonly FailureBudget Default = new(Signal: 300, Stop: 1_000);
}
