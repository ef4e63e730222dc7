using System.Globalization;

namespace OtpAuthService.Diagnoses;

/// <summary>How long something is still good for, and whether somebody should see to it by now.</summary>
internal static class Expiry
{
    /// <summary>Enough to have a certificate made, or a grant approved, by people.</summary>
    private static readonly TimeSpan Notice = TimeSpan.FromDays(14);

    /// <param name="subject">What it is called in the diagnosis.</param>
    /// <param name="what">As a sentence begins.</param>
    /// <param name="from">Since when it is good. What is made for a day is renewed by a machine, in the last third of that day at the latest.</param>
    /// <param name="until">Until when.</param>
    /// <param name="now">The moment.</param>
    /// <param name="advice">How to renew it.</param>
    public static Finding Judge(string subject, string what, DateTimeOffset from, DateTimeOffset until, DateTimeOffset now, string advice)
    {
        var left = until - now;
        var notice = TimeSpan.FromTicks(Math.Min(Notice.Ticks, (until - from).Ticks / 4));
        var end = until.ToUniversalTime().ToString("yyyy-MM-dd'T'HH:mm'Z'", CultureInfo.InvariantCulture);
        return left <= TimeSpan.Zero ? Finding.Fault(subject, $"{what} has ended at {end}.", advice)
            : left < notice ? Finding.Warning(subject, $"{what} ends in {InWords(left)}, at {end}.", advice)
            : Finding.Ok(subject, $"{what} is good for {InWords(left)}, until {end}.");
    }

    private static string InWords(TimeSpan span) =>
        span.TotalDays >= 2 ? $"{(int)span.TotalDays} days" : span.TotalHours >= 2 ? $"{(int)span.TotalHours} hours" : $"{(int)span.TotalMinutes} minutes";
}
