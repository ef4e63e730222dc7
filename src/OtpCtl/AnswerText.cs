using System.Collections;
using System.CommandLine;
using System.Globalization;
using System.Text.RegularExpressions;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Spectre.Console;

namespace OtpCtl;

/// <summary>
/// Prints an answer of the service: one JSON document with --json, a table on a terminal, otherwise one "name: value" per line. Names are
/// those of the .proto files; values of enums lose the prefix that repeats their type.
/// </summary>
internal static partial class AnswerText
{
    private static readonly JsonFormatter Json =
        new(JsonFormatter.Settings.Default.WithFormatDefaultValues(true).WithPreserveProtoFieldNames(true));

    public static void Write(ParseResult parsed, IMessage answer)
    {
        var output = parsed.InvocationConfiguration.Output;
        if (parsed.GetValue(GlobalOptions.Json))
        {
            output.WriteLine(Json.Format(answer));
        }
        else if (IsForPeople(parsed))
        {
            Screen(output).Write(AsTable(answer));
        }
        else
        {
            foreach (var (name, value) in Rows(answer))
            {
                output.WriteLine($"{name}: {value}");
            }
        }
    }

    /// <summary>Whether the result goes to a terminal, not to a program.</summary>
    public static bool IsForPeople(ParseResult parsed) => !Console.IsOutputRedirected && !parsed.GetValue(GlobalOptions.Json);

    /// <summary>Colour where the writer is a terminal; elsewhere the bare text, never wrapped.</summary>
    public static IAnsiConsole Screen(TextWriter writer)
    {
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(writer) });
        if (!console.Profile.Out.IsTerminal)
        {
            console.Profile.Width = int.MaxValue;
        }

        return console;
    }

    /// <summary>30.5 seconds → "30.5 s".</summary>
    public static string Text(Duration duration) => FormattableString.Invariant($"{duration.ToTimeSpan().TotalSeconds:0.###} s");

    /// <summary>Outcome.AlreadyUsed → "ALREADY_USED", StatusCode.InvalidArgument → "INVALID_ARGUMENT".</summary>
    public static string Text(System.Enum value) => UpperSnake(value.ToString());

    /// <summary>Outcome.AlreadyUsed → "OUTCOME_ALREADY_USED", as in proto3 JSON.</summary>
    public static string? WireName(System.Enum? value) => value is null ? null : $"{UpperSnake(value.GetType().Name)}_{Text(value)}";

    /// <summary>Green for what lets the customer go on, red for what does not.</summary>
    public static string Colour(string value) => value switch
    {
        "ALLOW" or "ACCEPTED" or "BYPASSED" or "ACTIVE" => "green",
        "DENY" or "MISMATCH" or "LOCKED_OUT" or "LOST" => "red",
        _ => "default",
    };

    private static Table AsTable(IMessage answer)
    {
        var table = new Table().Border(TableBorder.Rounded).HideHeaders().AddColumns("name", "value");
        foreach (var (name, value) in Rows(answer))
        {
            table.AddRow(Markup.Escape(name), $"[{Colour(value)}]{Markup.Escape(value)}[/]");
        }

        return table;
    }

    // Absent fields give no row: "no end" and "ends at the epoch" must not look alike.
    private static IEnumerable<(string Name, string Value)> Rows(IMessage message, string prefix = "") =>
        from field in message.Descriptor.Fields.InDeclarationOrder()
        where !field.HasPresence || field.Accessor.HasValue(message)
        from row in RowsOf(prefix + field.Name, field.Accessor.GetValue(message))
        select row;

    private static IEnumerable<(string Name, string Value)> RowsOf(string name, object value) => value switch
    {
        Timestamp moment => [(name, moment.ToDateTimeOffset().ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture))],
        Duration duration => [(name, Text(duration))],
        // A message without a field set still says something by being there.
        IMessage part => Rows(part, $"{name}.").DefaultIfEmpty((name, "yes")),
        IList list => list.Cast<object>().SelectMany((item, i) => RowsOf($"{name}[{i}]", item)),
        System.Enum member => [(name, Text(member))],
        bool flag => [(name, flag ? "true" : "false")],
        _ => [(name, Convert.ToString(value, CultureInfo.InvariantCulture) ?? "")],
    };

    private static string UpperSnake(string name) => WordStart().Replace(name, "_").ToUpperInvariant();

    [GeneratedRegex("(?<=[a-z])(?=[A-Z])")]
    private static partial Regex WordStart();
}
