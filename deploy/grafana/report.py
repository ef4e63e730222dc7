#!/usr/bin/env python3
"""Draws the dashboards from a Prometheus into one HTML page: report.py http://127.0.0.1:9090 BEGIN END OUT.html [EVENTS.json]

BEGIN and END are seconds since 1970, or less than 0: from now. EVENTS.json: [[name, begin, end], ...], shaded in every chart.
What Grafana would draw, without Grafana: the panels and queries are those of the JSON files in dashboards. Needs nothing beside Python.
"""

import html
import json
import math
import pathlib
import sys
import time
import urllib.parse
import urllib.request

DASHBOARDS = pathlib.Path(__file__).resolve().parent / "dashboards"
ORDER = ("otp-service-health", "otp-customer-journey", "otp-security", "otp-capacity", "otp-bypass")
PALETTE = ("#2f6fd0", "#e07b28", "#2f9e5b", "#c83e4d", "#8259c4", "#17899b", "#9a6b1f", "#d4549b", "#6b7280", "#7aa116")
COLOURS = {"green": "#2f9e5b", "orange": "#d98212", "red": "#c83e4d"}
POINTS = 150


class Source:
    """Answers of a Prometheus over one span of time, with the variables of a dashboard filled in."""

    def __init__(self, url, begin, end, rate_interval=None):
        self.url, self.begin, self.end = url, begin, end
        self.step = max(1, round((end - begin) / POINTS))
        # Grafana: at least four scrapes, which are 15 s apart.
        self.rate_interval = rate_interval or max(60, 4 * self.step)

    def fill(self, expr):
        for name, value in (("$__rate_interval", f"{self.rate_interval}s"), ("$__range", f"{round(self.end - self.begin)}s"), ("$institution", ".*"), ("$instance", ".*")):
            expr = expr.replace(name, value)
        return expr

    def ask(self, path, **parameters):
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}", timeout=30) as answer:
            return json.load(answer)["data"]["result"]

    def series(self, target):
        """(legend, [(time, value)]) each; a value that is no number is left out, and so is a series without any."""
        expr = self.fill(target["expr"])
        if target["range"]:
            found = self.ask("query_range", query=expr, start=self.begin, end=self.end, step=self.step)
        else:
            found = [{**one, "values": [one["value"]]} for one in self.ask("query", query=expr, time=self.end)]
        for one in found:
            points = [(float(at), float(value)) for at, value in one["values"] if math.isfinite(float(value))]
            if points:
                yield legend_of(target["legendFormat"], one["metric"]), points


def panels():
    """(dashboard, panel) of all, in the order of reading."""
    for uid in ORDER:
        dashboard = json.loads((DASHBOARDS / f"{uid}.json").read_text(encoding="utf-8"))
        for panel in dashboard["panels"]:
            yield dashboard, panel


def legend_of(form, labels):
    if form == "__auto":
        return ", ".join(value for name, value in labels.items() if name != "__name__")
    for name, value in labels.items():
        form = form.replace("{{" + name + "}}", value)
    return " ".join(form.split("{{")[0].split()) or "none"


def in_unit(value, unit):
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit == "bool_yes_no":
        return "yes" if value >= 0.5 else "no"
    if unit == "dtdurations":
        return f"{value / 86400:.0f} d" if abs(value) >= 2 * 86400 else f"{value / 3600:.1f} h"
    if unit == "s":
        return f"{value:.3g} s" if abs(value) >= 1 or value == 0 else f"{value * 1000:.3g} ms"
    if unit == "bytes":
        return f"{value / 2**20:.0f} MiB"
    number = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{number} /s" if unit == "reqps" else number


def ticks_of(low, high, count=4):
    """Round numbers over the range."""
    raw = (high - low) / count
    size = 10 ** math.floor(math.log10(raw))
    size *= next(factor for factor in (1, 2, 2.5, 5, 10) if factor * size >= raw)
    first = math.ceil(low / size - 1e-9)
    return [size * i for i in range(first, math.floor(high / size + 1e-9) + 1)]


def time_ticks_of(span, count=6):
    size = next(size for size in (10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 86400) if span / size <= count or size == 86400)
    return range(0, int(span) + 1, size)


def moment(seconds):
    """From the beginning: minutes, or hours where it is long."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}" if seconds < 3600 else f"{int(seconds) // 3600} h {int(seconds) % 3600 // 60:02}"


def colour_at(value, steps):
    colour = steps[0]["color"]
    for step in steps[1:]:
        if value >= step["value"]:
            colour = step["color"]
    return COLOURS[colour]


def text(x, y, content, **attributes):
    named = " ".join(f'{name.replace("_", "-")}="{value}"' for name, value in attributes.items())
    return f'<text x="{x:.1f}" y="{y:.1f}" {named}>{html.escape(content)}</text>'


def chart(panel, series, source, events, width):
    """Curves, a legend below them, the faults of the day shaded."""
    height, left, right, top, bottom = 190, 62, 12, 10, 24
    defaults = panel["fieldConfig"]["defaults"]
    unit, steps = defaults["unit"], defaults["thresholds"]["steps"]
    values = [value for _, points in series for _, value in points]
    highest, lowest = max(values), min(values)
    # A threshold far off the curves would make them flat: it is told in words then.
    lines = [step for step in steps[1:] if step["value"] <= max(highest * 2.5, 1e-9) and step["value"] >= min(lowest * 2.5, 0)]
    far = [step for step in steps[1:] if step not in lines]
    low = min([lowest, *(step["value"] for step in lines)] + ([0] if defaults.get("min") == 0 or lowest >= 0 else []))
    high = max([highest, *(step["value"] for step in lines)])
    if unit == "bool_yes_no":
        low, high = 0, 1
    if high - low < 1e-9:
        high = low + 1
    margin = 0.06 * (high - low)
    low, high = low - (margin if low < 0 else 0), high + margin

    def x(at):
        return left + (at - source.begin) / (source.end - source.begin) * (width - left - right)

    def y(value):
        return top + (high - value) / (high - low) * (height - top - bottom)

    out = []
    for name, begin, end in events:
        out.append(f'<rect x="{x(begin):.1f}" y="{top}" width="{max(1, x(end) - x(begin)):.1f}" height="{height - top - bottom}" class="event"><title>{html.escape(name)}</title></rect>')
    scale = 2**20 if unit == "bytes" else 1
    for tick in [0, 1] if unit == "bool_yes_no" else [scale * tick for tick in ticks_of(low / scale, high / scale)]:
        out.append(f'<line x1="{left}" x2="{width - right}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" class="grid"/>')
        out.append(text(left - 6, y(tick) + 4, in_unit(tick, unit), text_anchor="end"))
    for tick in time_ticks_of(source.end - source.begin):
        out.append(text(x(source.begin + tick), height - 7, moment(tick), text_anchor="middle"))
    for step in lines:
        out.append(f'<line x1="{left}" x2="{width - right}" y1="{y(step["value"]):.1f}" y2="{y(step["value"]):.1f}" stroke="{COLOURS[step["color"]]}" stroke-dasharray="5 4" stroke-width="1.5"/>')
    for i, (name, points) in enumerate(series):
        path, before = [], None
        for at, value in points:
            path.append(f'{"L" if before and at - before <= 2.5 * source.step else "M"}{x(at):.1f} {y(value):.1f}')
            before = at
        last = points[-1]
        # A single point has no line.
        if len(points) == 1:
            path.append(f"L{x(last[0]) + 1:.1f} {y(last[1]):.1f}")
        out.append(f'<path d="{"".join(path)}" fill="none" stroke="{PALETTE[i % len(PALETTE)]}" stroke-width="1.7"><title>{html.escape(name)}: {in_unit(last[1], unit)}</title></path>')
    legend = "".join(f'<span><i style="background:{PALETTE[i % len(PALETTE)]}"></i>{html.escape(name)}</span>' for i, (name, _) in enumerate(series))
    legend += "".join(f'<span class="far">line at {in_unit(step["value"], unit)}: not reached</span>' for step in far)
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{html.escape(panel["title"])}">{"".join(out)}</svg><p class="legend">{legend}</p>'


def number(panel, series):
    defaults = panel["fieldConfig"]["defaults"]
    value = series[0][1][-1][1]
    return f'<p class="number" style="color:{colour_at(value, defaults["thresholds"]["steps"])}">{f"{value:,.0f}" if defaults.get("decimals") == 0 else in_unit(value, defaults["unit"])}</p>'


def bar_rows(panel, series):
    defaults = panel["fieldConfig"]["defaults"]
    most = max(points[-1][1] for _, points in series)
    rows = "".join(
        f'<tr><td>{html.escape(name)}</td><td class="bar"><b style="width:{max(1, 100 * value / most):.0f}%;background:{colour_at(value, defaults["thresholds"]["steps"])}"></b></td>'
        f'<td>{in_unit(value, defaults["unit"])}</td></tr>'
        for name, value in ((name, points[-1][1]) for name, points in series)
    )
    return f"<table>{rows}</table>"


def draw(panel, source, events):
    series = [one for target in panel["targets"] for one in source.series(target)]
    columns = panel["gridPos"]["w"]
    if not series:
        body = '<p class="none">no data</p>'
    elif panel["type"] == "timeseries":
        body = chart(panel, series, source, events, 54 * columns)
    else:
        body = {"stat": number, "bargauge": bar_rows}[panel["type"]](panel, series)
    note = f'<p class="note">{html.escape(panel["description"])}</p>' if panel["description"] else ""
    return f'<section class="{panel["type"]}" style="grid-column:span {columns}"><h3>{html.escape(panel["title"])}</h3>{body}{note}</section>'


STYLE = """
body { font: 14px/1.4 "DejaVu Sans", "Noto Sans CJK JP", sans-serif; color: #1f2430; background: #f3f4f7; margin: 0 auto; padding: 24px; max-width: 1360px }
h1 { font-size: 24px; margin: 0 } h2 { font-size: 19px; margin: 34px 0 2px } h3 { font-size: 14px; margin: 0 0 4px }
.grid24 { display: grid; grid-template-columns: repeat(24, 1fr); gap: 12px; margin-top: 10px }
section { background: #fff; border: 1px solid #dde0e7; border-radius: 6px; padding: 10px 12px; min-width: 0 }
svg { width: 100%; height: auto; display: block } svg text { font-size: 12px; fill: #5b6272 } .grid { stroke: #e6e8ee }
.event { fill: #c83e4d; fill-opacity: .10 } .legend { margin: 4px 0 0; font-size: 12px } .legend span { margin-right: 12px; white-space: nowrap; display: inline-block }
.legend i { display: inline-block; width: 12px; height: 3px; margin-right: 5px; vertical-align: middle } .far, .note, .lead { color: #5b6272 } .note { font-size: 12px; margin: 5px 0 0 }
.number { font-size: 26px; margin: 2px 0; font-weight: 600 } .none { color: #c83e4d } table { width: 100%; border-collapse: collapse; font-size: 13px } td { padding: 3px 6px 3px 0; white-space: nowrap }
.bar { width: 60% } .bar b { display: block; height: 12px; border-radius: 2px } .events span { background: #f7e0e3; border-radius: 4px; padding: 2px 8px; margin-right: 6px; white-space: nowrap }
"""


def page(source, events):
    begun = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(source.begin))
    named = "".join(f"<span>{moment(begin - source.begin)} {html.escape(name)}</span>" for name, begin, _ in events)
    out = [
        f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>OtpAuthService: dashboards</title><style>{STYLE}</style>',
        f'<h1>OtpAuthService</h1><p class="lead">The panels of deploy/grafana/dashboards over {source.end - source.begin:.0f} s from {begun}; time in minutes from there. Dashed: thresholds. Shaded: faults.</p>',
        f'<p class="events">{named}</p>' if events else "",
    ]
    uid = None
    for dashboard, panel in panels():
        if dashboard["uid"] != uid:
            out.append(f'{"</div>" if uid else ""}<h2 id="{dashboard["uid"]}">{html.escape(dashboard["title"].removeprefix("OTP: "))}</h2><p class="lead">{html.escape(dashboard["description"])}</p><div class="grid24">')
            uid = dashboard["uid"]
        out.append(draw(panel, source, events))
    return "\n".join([*out, "</div></html>"])


def main(url, begin, end, out, events=None):
    begin, end = (float(moment) if float(moment) > 0 else time.time() + float(moment) for moment in (begin, end))
    read = json.loads(pathlib.Path(events).read_text(encoding="utf-8")) if events else []
    pathlib.Path(out).write_text(page(Source(url, begin, end), read), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) not in (5, 6):
        sys.exit(__doc__)
    main(*sys.argv[1:])
