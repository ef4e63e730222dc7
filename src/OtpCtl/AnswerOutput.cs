using System.Collections;
using System.CommandLine;
using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
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

    private static readonly string[] Secrets = ["otp", "current_otp", "new_otp", "first_otp", "second_otp", "pre_shared_key", "password"];

    private static readonly JsonSerializerOptions Compact = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>What was read.</summary>
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
            WriteRows(output, Rows(answer));
        }
    }

    /// <summary>The answer to what was changed, or would be; in JSON, "applied" says which.</summary>
    public static void WriteApplied(ParseResult parsed, IMessage answer, bool applied = true)
    {
        if (!parsed.GetValue(GlobalOptions.Json))
        {
            Write(parsed, answer);
            if (!applied)
            {
                parsed.InvocationConfiguration.Output.WriteLine("applied: false");
            }

            return;
        }

        var document = Node(answer);
        document.Insert(0, "applied", applied);
        WriteJson(parsed, document);
    }

    /// <summary>What is there now, and what would be sent. What the request only repeats is told as what changes.</summary>
    public static void WriteDryRun(ParseResult parsed, IMessage request, IMessage? now)
    {
        var rpc = request.Descriptor.Name[..^"Request".Length];
        var changes = now is null ? [] : Changes(now, request).ToList();
        var output = parsed.InvocationConfiguration.Output;
        if (parsed.GetValue(GlobalOptions.Json))
        {
            var sent = Node(request);
            Unsent(parsed).ForEach(name => sent.Remove(name));
            WriteJson(parsed, new JsonObject
            {
                ["applied"] = false,
                ["rpc"] = rpc,
                ["now"] = now is null or Empty ? null : Node(now),
                ["changes"] = new JsonArray([.. changes.Select(change => new JsonObject { ["field"] = change.Name, ["from"] = change.From, ["to"] = change.To })]),
                ["request"] = sent,
            });
            return;
        }

        var repeated = now is null ? [] : now.Descriptor.Fields.InDeclarationOrder().Append(PartLike(now, request)).Select(field => field?.Name).ToHashSet();
        (string Name, string Value)[] would =
        [
            .. changes.Select(change => ($"change.{change.Name}", $"{change.From} → {change.To}")),
            ("rpc", rpc),
            .. Rows(request, onlySet: true).Where(row => !Unsent(parsed).Contains(row.Name) && !repeated.Contains(row.Name.Split('.', '[')[0]))
                .Select(row => ($"request.{row.Name}", row.Value)),
            ("applied", "false"),
        ];
        var without = now switch { null => "nothing", Empty => "not told", _ => null };
        if (IsForPeople(parsed))
        {
            var screen = Screen(output);
            screen.MarkupLine($"[bold]Now:[/] {without}".TrimEnd());
            WriteForPeople(screen, now);
            screen.MarkupLine("[bold]With --apply:[/]");
            WriteAligned(screen, would);
            return;
        }

        WriteRows(output, without is null ? Rows(now!, "now.") : [("now", without)]);
        WriteRows(output, would);
    }

    /// <summary>What did not come from the service.</summary>
    public static void Write(ParseResult parsed, JsonObject document)
    {
        if (parsed.GetValue(GlobalOptions.Json))
        {
            WriteJson(parsed, document);
        }
        else if (IsForPeople(parsed))
        {
            WriteForPeople(Screen(parsed.InvocationConfiguration.Output), document);
        }
        else
        {
            WriteRows(parsed.InvocationConfiguration.Output, Rows(document));
        }
    }

    /// <summary>Whether the result goes to a terminal, not to a program.</summary>
    public static bool IsForPeople(ParseResult parsed) => !Console.IsOutputRedirected && !parsed.GetValue(GlobalOptions.Json);

    /// <summary>
    /// Colour where the writer is a terminal and NO_COLOR (no-color.org) is not set, elsewhere the bare text. Lines are never broken: URIs are copied whole.
    /// </summary>
    public static IAnsiConsole Screen(TextWriter writer)
    {
        var console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Out = new AnsiConsoleOutput(writer),
            ColorSystem = GlobalOptions.FromEnvironment("NO_COLOR") is null ? ColorSystemSupport.Detect : ColorSystemSupport.NoColors,
        });
        console.Profile.Width = 10_000;
        return console;
    }

    private static void WriteJson(ParseResult parsed, JsonObject document) =>
        parsed.InvocationConfiguration.Output.WriteLine(document.ToJsonString(Compact));

    private static JsonObject Node(IMessage message) => JsonNode.Parse(Json.Format(message))!.AsObject();

    private static void WriteRows(TextWriter output, IEnumerable<(string Name, string Value)> rows)
    {
        foreach (var (name, value) in rows)
        {
            output.WriteLine($"{name}: {value}");
        }
    }

    private static void WriteAligned(IAnsiConsole screen, IReadOnlyCollection<(string Name, string Value)> rows)
    {
        var width = rows.Select(row => row.Name.Length).DefaultIfEmpty().Max();
        foreach (var (name, value) in rows)
        {
            screen.MarkupLine($"{Markup.Escape(name.PadRight(width))}  {AnswerText.Coloured(value)}");
        }
    }

    // A dry run makes up no request id and asks for no secret.
    private static List<string> Unsent(ParseResult parsed) =>
        [.. Secrets, .. parsed.GetValue(ServiceCall.RequestIdOption) is null ? ["request_id"] : Array.Empty<string>()];

    // What has the same name in both: the request, or the part of it that is of the same kind, would replace what is there.
    private static IEnumerable<(string Name, string From, string To)> Changes(IMessage now, IMessage request)
    {
        var next = PartLike(now, request) is { } part ? (IMessage)part.Accessor.GetValue(request) : request;
        var (before, after) = (Rows(now).ToDictionary(), Rows(next).ToDictionary());
        var shared = now.Descriptor.Fields.InDeclarationOrder().Select(field => field.Name)
            .Intersect(next.Descriptor.Fields.InDeclarationOrder().Where(field => field.HasPresence || !IsUnset(field.Accessor.GetValue(next))).Select(field => field.Name))
            .ToHashSet();
        return from name in before.Keys.Union(after.Keys)
               where shared.Contains(name.Split('.', '[')[0])
               let change = (name, before.GetValueOrDefault(name, "-"), after.GetValueOrDefault(name, "-"))
               where change.Item2 != change.Item3
               select change;
    }

    private static FieldDescriptor? PartLike(IMessage now, IMessage request) =>
        request.Descriptor.Fields.InDeclarationOrder().SingleOrDefault(field => field is { IsRepeated: false, FieldType: FieldType.Message } && field.MessageType == now.Descriptor);

    // Lists, such as a contractor's bindings, become tables; everything before and after them, aligned lines.
    private static void WriteForPeople(IAnsiConsole screen, IMessage? answer)
    {
        if (answer is null)
        {
            return;
        }

        // Of messages: lists of enums are rows.
        var lists = answer.Descriptor.Fields.InDeclarationOrder().Where(field => field is { IsRepeated: true, FieldType: FieldType.Message }).ToList();
        foreach (var list in lists)
        {
            screen.Write(AsTable(list.MessageType, (IList)list.Accessor.GetValue(answer)));
        }

        var inTables = lists.Select(list => list.Name).ToHashSet();
        WriteAligned(screen, [.. Rows(answer).Where(row => !inTables.Contains(row.Name.Split('[')[0]))]);
    }

    private static void WriteForPeople(IAnsiConsole screen, JsonObject document)
    {
        foreach (var list in document.Select(member => member.Value).OfType<JsonArray>().Where(list => list is [JsonObject, ..]))
        {
            var rows = list.Select(item => Rows(item).ToDictionary()).ToList();
            var table = new Table().RoundedBorder();
            var names = rows.SelectMany(row => row.Keys).Distinct().ToList();
            names.ForEach(name => table.AddColumn(name));
            rows.ForEach(row => table.AddRow([.. names.Select(name => AnswerText.Coloured(row.GetValueOrDefault(name, "")))]));
            screen.Write(table);
        }

        WriteAligned(screen, [.. document.Where(member => member.Value is not JsonArray { Count: > 0 } list || list[0] is not JsonObject).SelectMany(member => Rows(member.Value, member.Key))]);
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

    // Absent fields give no row: "no end" and "ends at the epoch" must not look alike. Only what is set: of a request, whose unset fields are the service's to fill.
    private static IEnumerable<(string Name, string Value)> Rows(IMessage message, string prefix = "", bool onlySet = false) =>
        from field in message.Descriptor.Fields.InDeclarationOrder()
        where field.HasPresence ? field.Accessor.HasValue(message) : !(onlySet && IsUnset(field.Accessor.GetValue(message)))
        from row in IsAllOf(message, field)
            ? Rows((IMessage)field.Accessor.GetValue(message), prefix, onlySet)
            : RowsOf(prefix + field.Name, field.Accessor.GetValue(message), onlySet)
        select row;

    // proto3 has one value for "not set" and "empty" or "0". A bool is none of these: "false" is said.
    private static bool IsUnset(object value) => value is "" or 0 or 0L;

    // What GetCredential tells is the credential: its fields stand for themselves.
    private static bool IsAllOf(IMessage message, FieldDescriptor field) =>
        field is { IsRepeated: false, FieldType: FieldType.Message } && message.Descriptor.Name == $"Get{field.MessageType.Name}Response";

    private static IEnumerable<(string Name, string Value)> Rows(JsonNode? node, string name = "") => node switch
    {
        JsonObject parts => parts.SelectMany(part => Rows(part.Value, name.Length == 0 ? part.Key : $"{name}.{part.Key}")),
        JsonArray items when items.All(item => item is JsonValue) => [(name, string.Join(", ", items.Select(item => $"{item}")))],
        JsonArray items => items.SelectMany((item, i) => Rows(item, $"{name}[{i}]")),
        null => [],
        _ => [(name, $"{node}")],
    };

    private static IEnumerable<(string Name, string Value)> RowsOf(string name, object value, bool onlySet = false) => value switch
    {
        Timestamp moment => [(name, AnswerText.Text(moment))],
        Duration duration => [(name, AnswerText.Text(duration))],
        // A message without a field set still says something by being there.
        IMessage part => Rows(part, $"{name}.", onlySet).DefaultIfEmpty((name, "yes")),
        IList list => list.Cast<object>().SelectMany((item, i) => RowsOf($"{name}[{i}]", item, onlySet)),
        System.Enum member => [(name, AnswerText.Text(member))],
        bool flag => [(name, flag ? "true" : "false")],
        _ => [(name, Convert.ToString(value, CultureInfo.InvariantCulture) ?? "")],
    };
}
