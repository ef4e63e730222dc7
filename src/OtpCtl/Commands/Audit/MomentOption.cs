using System.CommandLine;
using System.Globalization;

namespace OtpCtl.Commands.Audit;

/// <summary>A bound of a time range, as people say it: an instant, a local date and time, or so long ago.</summary>
internal static class MomentOption
{
    private static readonly string[] DateAndTimeForms =
        ["yyyy-MM-dd", "yyyy-MM-dd'T'HH:mm", "yyyy-MM-dd'T'HH:mm:ss", "yyyy-MM-dd'T'HH:mm:ss.FFFFFFF"];

    public static Option<DateTimeOffset?> Create(string name, string description, bool required = false) => new(name)
    {
        Description = description,
        Required = required,
        HelpName = "moment",
        CustomParser = result =>
        {
            var text = result.Tokens.Single().Value;
            if (Parse(text, TimeProvider.System) is { } moment)
            {
                return moment;
            }

            result.AddError($"'{text}' is not a moment: 2026-03-31T09:00:00+09:00, 2026-03-31T00:00Z, 2026-03-31T09:00, 2026-03-31, 90m, 24h or 7d.");
            return null;
        },
    };

    /// <summary>
    /// An ISO 8601 date, or date and time, with an offset or in the clock's local zone; or a number of s, m, h, d or w before the clock's
    /// now, where a day is 24 hours. Null for anything else.
    /// </summary>
    public static DateTimeOffset? Parse(string text, TimeProvider clock) =>
        SpanOption.Parse(text) is { } ago ? Before(clock.GetUtcNow(), ago) : ParseDate(text, clock.LocalTimeZone);

    /// <summary>An ISO 8601 date, or date and time, with an offset or in the zone. Null for anything else.</summary>
    public static DateTimeOffset? ParseDate(string text, TimeZoneInfo zone)
    {
        var instants = DateAndTimeForms.Skip(1).SelectMany(form => new[] { form + "'Z'", form + "zzz" }).ToArray();
        if (DateTimeOffset.TryParseExact(text, instants, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var instant))
        {
            return instant;
        }

        return DateTime.TryParseExact(text, DateAndTimeForms, CultureInfo.InvariantCulture, DateTimeStyles.None, out var local)
            ? new DateTimeOffset(local, zone.GetUtcOffset(local))
            : null;
    }

    private static DateTimeOffset? Before(DateTimeOffset now, TimeSpan ago) => ago <= now - DateTimeOffset.UnixEpoch ? now - ago : null;
}
