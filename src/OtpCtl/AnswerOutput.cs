using System.Collections;
using System.CommandLine;
using System.Globalization;
using Google.Protobuf;
using Google.Protobuf.Reflection;
using Google.Protobuf.WellKnownTypes;
using Spectre.Console;

namespace OtpCtl;

/// <summary>
/// Prints an answer of the service: one JSON document with --json, columns on a terminal, otherwise one "name: value" per line. Names are
/// those of the .proto files; outside JSON, values of enums lose the prefix that repeats their type.
/// </summary>
internal static class AnswerOutput
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
            WriteForPeople(Screen(output), answer);
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

    /// <summary>Colour where the writer is a terminal, elsewhere the bare text. Lines are never broken: URIs are copied whole.</summary>
    public static IAnsiConsole Screen(TextWriter writer)
    {
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(writer) });
        console.Profile.Width = 10_000;
        return console;
    }

    // Lists, such as a contractor's bindings, become tables; everything before and after them, aligned lines.
    private static void WriteForPeople(IAnsiConsole screen, IMessage answer)
    {
        var lists = answer.Descriptor.Fields.InDeclarationOrder().Where(field => field.IsRepeated).ToList();
        foreach (var list in lists)
        {
            screen.Write(AsTable(list.MessageType, (IList)list.Accessor.GetValue(answer)));
        }

        var rows = Rows(answer).ExceptBy(lists.Select(list => list.Name), row => row.Name.Split('[')[0]).ToList();
        var width = rows.Max(row => row.Name.Length);
        rows.ForEach(row => screen.MarkupLine($"{row.Name.PadRight(width)}  {AnswerText.Coloured(row.Value)}"));
    }

    private static Table AsTable(MessageDescriptor type, IList messages)
    {
        var names = type.Fields.InDeclarationOrder().Select(field => field.Name).ToList();
        var table = new Table().RoundedBorder();
        names.ForEach(name => table.AddColumn(name));
        foreach (var values in messages.Cast<IMessage>().Select(message => Rows(message).ToDictionary(row => row.Name, row => row.Value)))
        {
            table.AddRow([.. names.Select(name => AnswerText.Coloured(values.GetValueOrDefault(name, "")))]);
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
        Timestamp moment => [(name, AnswerText.Text(moment))],
        Duration duration => [(name, AnswerText.Text(duration))],
        // A message without a field set still says something by being there.
        IMessage part => Rows(part, $"{name}.").DefaultIfEmpty((name, "yes")),
        IList list => list.Cast<object>().SelectMany((item, i) => RowsOf($"{name}[{i}]", item)),
        System.Enum member => [(name, AnswerText.Text(member))],
        bool flag => [(name, flag ? "true" : "false")],
        _ => [(name, Convert.ToString(value, CultureInfo.InvariantCulture) ?? "")],
    };
}
