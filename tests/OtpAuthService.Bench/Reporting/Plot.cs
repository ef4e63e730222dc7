using System.Globalization;
using System.Text;
using OtpAuthService.Bench.Measuring;

namespace OtpAuthService.Bench.Reporting;

/// <summary>Throughput and p99 over the calls in flight, both axes logarithmic, as an SVG that needs nothing else.</summary>
internal static class Plot
{
    private const int Width = 1080;
    private const int PanelWidth = 430;
    private const int PanelHeight = 330;
    private const int Top = 60;

    /// <summary>Okabe and Ito's colours, which colour-blind readers can tell apart; the marks, as SVG paths, differ as well.</summary>
    private static readonly (string Key, string Colour, string Mark)[] Lines =
    [
        ("noop", "#000000", "M-5,0a5,5 0 1,0 10,0a5,5 0 1,0 -10,0Z"),
        ("batched_write", "#0072B2", "M-4.5,-4.5h9v9h-9Z"),
        ("verify", "#D55E00", "M0,-7L2,-2L7,0L2,2L0,7L-2,2L-7,0L-2,-2Z"),
        ("verify_mix", "#E69F00", "M0,-6L5.5,4.5H-5.5Z"),
        ("verify_mtls", "#CC79A7", "M0,6L5.5,-4.5H-5.5Z"),
        ("single_update", "#56B4E9", "M0,-6L6,0L0,6L-6,0Z"),
        ("identity", "#009E73", "M-5,0H5M0,-5V5"),
        ("naive", "#666666", "M-4,-4L4,4M-4,4L4,-4"),
    ];

    private const int LegendColumns = 3;

    public static string Of(Measurements measured, string subtitle)
    {
        var legendRows = (Lines.Length + LegendColumns - 1) / LegendColumns;
        var height = Top + PanelHeight + 65 + (legendRows * 22);
        var svg = new StringBuilder();
        svg.Append(CultureInfo.InvariantCulture, $"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {Width} {height}" width="{Width}" height="{height}" font-family="sans-serif" font-size="13">""").Append('\n');
        svg.Append(CultureInfo.InvariantCulture, $"""<rect width="{Width}" height="{height}" fill="#fff"/>""").Append('\n');
        svg.Append(CultureInfo.InvariantCulture, $"""<text x="75" y="24" font-size="15">{subtitle}</text>""").Append('\n');
        AddPanel(svg, measured, 75, "calls per second", s => s.CallsPerSecond);
        AddPanel(svg, measured, 75 + PanelWidth + 95, "p99 latency in ms", s => s.P99);
        AddLegend(svg, measured, Top + PanelHeight + 65);
        return svg.Append("</svg>\n").ToString();
    }

    private static void AddPanel(StringBuilder svg, Measurements measured, int left, string title, Func<Sample, double> value)
    {
        var series = measured.All.Where(s => Lines.Any(line => line.Key == s.Key)).ToList();
        var levels = series.Select(s => s.InFlight).Distinct().Order().ToList();
        var values = series.Select(s => s.Median(value)).ToList();
        var (low, high) = (Math.Floor(Math.Log10(values.Min())), Math.Ceiling(Math.Log10(values.Max())));

        svg.Append(CultureInfo.InvariantCulture, $"""<text x="{left}" y="{Top - 12}" font-weight="bold">{title}</text>""").Append('\n');
        for (var power = low; power <= high; power++)
        {
            var y = Y(Math.Pow(10, power));
            svg.Append(CultureInfo.InvariantCulture, $"""<line x1="{left}" x2="{left + PanelWidth}" y1="{y:0.#}" y2="{y:0.#}" stroke="#ddd"/><text x="{left - 8}" y="{y + 4:0.#}" text-anchor="end">{Math.Pow(10, power):#,0.###}</text>""").Append('\n');
        }

        foreach (var level in levels)
        {
            svg.Append(CultureInfo.InvariantCulture, $"""<text x="{X(level):0.#}" y="{Top + PanelHeight + 20}" text-anchor="middle">{level}</text>""").Append('\n');
        }

        svg.Append(CultureInfo.InvariantCulture, $"""<text x="{left + (PanelWidth / 2)}" y="{Top + PanelHeight + 40}" text-anchor="middle">calls in flight</text>""").Append('\n');
        foreach (var (key, colour, mark) in Lines)
        {
            var points = series.Where(s => s.Key == key).OrderBy(s => s.InFlight).Select(s => (X: X(s.InFlight), Y: Y(s.Median(value)))).ToList();
            var path = string.Join(' ', points.Select(p => string.Create(CultureInfo.InvariantCulture, $"{p.X:0.#},{p.Y:0.#}")));
            svg.Append(CultureInfo.InvariantCulture, $"""<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>""").Append('\n');
            points.ForEach(p => AddMark(svg, p.X, p.Y, colour, mark));
        }

        double X(int inFlight) => left + (PanelWidth * Share(Math.Log2(inFlight), Math.Log2(levels[0]), Math.Log2(levels[^1])));

        double Y(double at) => Top + (PanelHeight * (1 - Share(Math.Log10(at), low, high)));
    }

    private static void AddLegend(StringBuilder svg, Measurements measured, int top)
    {
        var present = Lines.Select(line => (line.Colour, line.Mark, Title: measured.All.FirstOrDefault(s => s.Key == line.Key)?.Title))
            .Where(line => line.Title is not null).ToList();
        for (var i = 0; i < present.Count; i++)
        {
            var (x, y) = (75 + (i % LegendColumns * 330), top + (i / LegendColumns * 22));
            AddMark(svg, x, y, present[i].Colour, present[i].Mark);
            svg.Append(CultureInfo.InvariantCulture, $"""<text x="{x + 14}" y="{y + 4}">{present[i].Title}</text>""").Append('\n');
        }
    }

    private static void AddMark(StringBuilder svg, double x, double y, string colour, string mark) =>
        svg.Append(CultureInfo.InvariantCulture, $"""<path transform="translate({x:0.#},{y:0.#})" d="{mark}" fill="#fff" stroke="{colour}" stroke-width="2"/>""").Append('\n');

    private static double Share(double value, double from, double to) => to > from ? (value - from) / (to - from) : 0.5;
}
