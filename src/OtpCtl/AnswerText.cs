using System.Globalization;
using System.Text.RegularExpressions;
using Google.Protobuf.WellKnownTypes;
using Spectre.Console;

namespace OtpCtl;

/// <summary>How single values of answers are spelled.</summary>
internal static partial class AnswerText
{
    /// <summary>UTC, to the millisecond: "2026-03-31T00:00:00.000Z".</summary>
    public static string Text(Timestamp moment) => moment.ToDateTimeOffset().ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture);

    /// <summary>30.5 seconds → "30.5 s".</summary>
    public static string Text(Duration duration) => FormattableString.Invariant($"{duration.ToTimeSpan().TotalSeconds:0.###} s");

    /// <summary>Outcome.AlreadyUsed → "ALREADY_USED", StatusCode.InvalidArgument → "INVALID_ARGUMENT".</summary>
    public static string Text(System.Enum value) => UpperSnake(value.ToString());

    /// <summary>Outcome.AlreadyUsed → "OUTCOME_ALREADY_USED", as in proto3 JSON.</summary>
    public static string? WireName(System.Enum? value) => value is null ? null : $"{UpperSnake(value.GetType().Name)}_{Text(value)}";

    /// <summary>As markup: green for what lets the customer go on, red for what does not.</summary>
    public static string Coloured(string value)
    {
        var colour = value switch
        {
            "ALLOW" or "ACCEPTED" or "BYPASSED" or "ACTIVE" or "OK" => "green",
            "DENY" or "MISMATCH" or "LOCKED_OUT" or "LOST" or "BYPASS_REFUSED" or "FAULT" => "red",
            "WARNING" => "yellow",
            _ => "default",
        };
        return $"[{colour}]{Markup.Escape(value)}[/]";
    }

    private static string UpperSnake(string name) => WordStart().Replace(name, "_").ToUpperInvariant();

    [GeneratedRegex("(?<=[a-z])(?=[A-Z])")]
    private static partial Regex WordStart();
}
