using System.CommandLine;
using System.Globalization;
using System.Text.RegularExpressions;

namespace OtpCtl;

/// <summary>A span of time, as people say it: 90m, 24h, 7d.</summary>
internal static partial class SpanOption
{
    public static Option<TimeSpan?> Create(string name, string description) => new(name)
    {
        Description = description,
        HelpName = "span",
        CustomParser = result =>
        {
            var text = result.Tokens.Single().Value;
            if (Parse(text) is { } span)
            {
                return span;
            }

            result.AddError($"'{text}' is not a span of time: 90m, 24h or 7d.");
            return null;
        },
    };

    /// <summary>A number of s, m, h, d or w, where a day is 24 hours. Null for anything else.</summary>
    public static TimeSpan? Parse(string text)
    {
        if (Span().Match(text) is not { Success: true } span)
        {
            return null;
        }

        var unitSeconds = span.Groups["unit"].Value switch { "s" => 1, "m" => 60, "h" => 3_600, "d" => 86_400, _ => 604_800 };
        // At most nine digits: the product fits.
        var seconds = long.Parse(span.Groups["number"].Value, NumberStyles.None, CultureInfo.InvariantCulture) * unitSeconds;
        return seconds <= TimeSpan.MaxValue.TotalSeconds ? TimeSpan.FromSeconds(seconds) : null;
    }

    // \z and [0-9]: no trailing newline and no full-width digits.
    [GeneratedRegex(@"\A(?<number>[0-9]{1,9})(?<unit>[smhdw])\z")]
    private static partial Regex Span();
}
