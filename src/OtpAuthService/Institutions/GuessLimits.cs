namespace OtpAuthService.Institutions;

/// <summary>How many wrong OTPs in a row lock a contractor, and for how long (promise P5). An institution may only be stricter than <see cref="Loosest"/>.</summary>
/// <param name="Temporary">Wrong OTPs that lock for <paramref name="Lock"/>.</param>
/// <param name="Hard">Wrong OTPs that lock until an operator unlocks.</param>
/// <param name="Lock">How long the first lock lasts.</param>
internal readonly record struct GuessLimits(int Temporary, int Hard, TimeSpan Lock)
{
    /// <summary>PSD2 RTS article 4(3)(b): at most five, then blocked; PCI DSS 8.3.4: at most ten, and at least 30 minutes.</summary>
    public static readonly GuessLimits Loosest = new(Temporary: 5, Hard: 10, Lock: TimeSpan.FromMinutes(30));
}
