using Spectre.Console;

namespace OtpAuthService.Bench.Reporting;

/// <summary>A table that is shown on the screen and written as Markdown with the same content. All but the first columns are numbers.</summary>
internal sealed record TextTable(int TextColumns, IReadOnlyList<string> Headers, IReadOnlyList<IReadOnlyList<string>> Rows)
{
    public void Print(IAnsiConsole screen)
    {
        var table = new Table().Border(TableBorder.SimpleHeavy);
        for (var i = 0; i < Headers.Count; i++)
        {
            var column = new TableColumn(Markup.Escape(Headers[i])) { NoWrap = true };
            table.AddColumn(i < TextColumns ? column : column.RightAligned());
        }

        foreach (var row in Rows)
        {
            table.AddRow(row.Select(Markup.Escape).ToArray());
        }

        screen.Write(table);
    }

    public string ToMarkdown()
    {
        var alignment = Headers.Select((_, i) => i < TextColumns ? "---" : "---:");
        return string.Concat(new[] { Headers, [.. alignment] }.Concat(Rows).Select(row => $"| {string.Join(" | ", row)} |\n"));
    }
}
