#!/usr/bin/env python3
"""Writes the Grafana dashboards from the table of panels below: make_dashboards.py [FOLDER], by default dashboards beside it.

Grafana's own JSON is long and the same everywhere but for a title, a unit and a query. Those stand here, one panel in a few lines.
"""

import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
COLUMNS = 24
HEIGHT = {"stat": 4, "timeseries": 8, "bargauge": 7}
GREEN, ORANGE, RED = "green", "orange", "red"

# Units as Grafana names them.
SHARE, SECONDS, PER_SECOND, SPAN, BYTES, COUNT, YES_NO = "percentunit", "s", "reqps", "dtdurations", "bytes", "short", "bool_yes_no"


def stat(title, expr, unit=COUNT, steps=(), text=""):
    """One number, as it is now. steps: (value, colour) from which on it has that colour; before the first it is green."""
    return {"kind": "stat", "title": title, "queries": [(expr, "")], "unit": unit, "steps": steps, "text": text, "width": 4}


def lines(title, *queries, unit=COUNT, steps=(), text="", width=8, **axis):
    """Curves over time: (query, legend) each. steps: lines that are drawn across."""
    return {"kind": "timeseries", "title": title, "queries": queries, "unit": unit, "steps": steps, "text": text, "width": width, "axis": axis}


def bars(title, *queries, unit=SPAN, steps=(), text="", width=8):
    """A bar for each series, as it is now."""
    return {"kind": "bargauge", "title": title, "queries": queries, "unit": unit, "steps": steps, "text": text, "width": width}


def rate(metric, by, labels=""):
    return f"sum by ({by}) (rate({metric}{{{labels}}}[$__rate_interval]))"


def quantiles(metric, labels, *by_and_legend):
    by = "".join(f", {label}" for label in by_and_legend)
    legend = "".join(f" {{{{{label}}}}}" for label in by_and_legend)
    return [
        (f"histogram_quantile({q}, sum by (le{by}) (rate({metric}_bucket{{{labels}}}[$__rate_interval])))", f"p{q * 100:g}{legend}")
        for q in (0.5, 0.99)
    ]


ON = 'instance=~"$instance"'
AT = 'institution=~"$institution"'
FRONT = 'rpc_method=~"otpauth.v1.OtpAuth/.+"'
ENDS_SOON = ((-1e12, RED), (3 * 86400, ORANGE), (14 * 86400, GREEN))
WRONG = 'outcome=~"Mismatch|OutOfSync|CredentialUnknown"'

DASHBOARDS = [
    ("otp-service-health", "Service health", "Is everybody served, and if not, what stands in the way?", [
        stat("Replicas that decide", f"sum(otp_store_available{{{ON}}})", steps=((-1, RED), (1, GREEN)), text="Replicas whose database can decide, by their own word."),
        stat("Replicas reached", 'sum(up{job="otp-auth-service"})', steps=((-1, RED), (1, GREEN))),
        stat("Calls per second", f"sum(rate(rpc_server_call_duration_seconds_count{{{ON}}}[$__rate_interval]))", PER_SECOND),
        stat("Unanswered, last hour", "otp:unanswered:ratio_rate1h", SHARE, ((0.0005, ORANGE), (0.0072, RED)), "SLO: 0.05 %."),
        stat("Slow Verify, last hour", "otp:slow_verifies:ratio_rate1h", SHARE, ((0.01, ORANGE), (0.144, RED)), "SLO: 1 % over 250 ms."),
        stat("Alerts", 'count(ALERTS{alertstate="firing"}) or vector(0)', steps=((1, RED),), text="Firing now; what to do: the runbook."),
        lines("Calls by status", (rate("rpc_server_call_duration_seconds_count", "rpc_response_status_code", f"{ON}, {FRONT}"), "{{rpc_response_status_code}}"),
              unit=PER_SECOND, text="gRPC's status. Business refusals are OK; Unavailable, Internal and DeadlineExceeded count against the SLO."),
        lines("Unanswered calls", ("otp:unanswered:ratio_rate5m", "5 min"), ("otp:unanswered:ratio_rate1h", "1 h"), ("otp:unanswered:ratio_rate6h", "6 h"),
              unit=SHARE, steps=((0.0072, RED),), text="The line is 14.4 times the budget of 0.05 %: above it in 5 min and 1 h somebody is woken."),
        lines("Verify: time taken", *quantiles("rpc_server_call_duration_seconds", f'{ON}, rpc_method="otpauth.v1.OtpAuth/Verify", rpc_response_status_code="OK"'),
              unit=SECONDS, steps=((0.25, RED),), text="Of answered calls, in the service. SLO: 99 % below the line."),
        lines("Able to decide", (f"otp_store_available{{{ON}}}", "{{instance}}"), unit=YES_NO, max=1, text="0: PostgreSQL is away, or the clock cannot be trusted."),
        lines("Clock offset", (f"otp_clock_offset_seconds{{{ON}}}", "{{instance}}"), unit=SECONDS, steps=((-5, RED), (5, RED)),
              text="The replica's clock less the database's. Beyond the lines it decides nothing."),
        lines("Redis left out", (f"otp_replay_cache_degraded{{{ON}}}", "left out, {{instance}}"), (f"otp_replay_cache_breaker_open{{{ON}}}", "breaker open, {{instance}}"), unit=YES_NO, max=1,
              text="1: the database decides alone."),
        lines("Slow Verify", ("otp:slow_verifies:ratio_rate5m", "5 min"), ("otp:slow_verifies:ratio_rate1h", "1 h"), ("otp:slow_verifies:ratio_rate6h", "6 h"),
              unit=SHARE, steps=((0.144, RED),), text="Over 250 ms. The line is 14.4 times the budget of 1 %."),
        lines("Fences raised", (f"otp_fences_total{{{ON}}}", "{{instance}}"), text="A step up: PostgreSQL may have lost commits."),
        lines("Keys and files", (f"otp_keys_kek_reachable{{{ON}}}", "KEK reached, {{instance}}"), (f"max by (files) (otp_files_broken{{{ON}}})", "broken: {{files}}"), unit=YES_NO, max=1),
    ]),
    ("otp-customer-journey", "Customer journey", "What do customers do, and how are they answered?", [
        stat("Logins", f'sum(increase(otp_decisions_total{{{AT}, rpc="Verify", purpose="Login", decision="Allow", repeated="false"}}[$__range]))', text="Let in, in the time shown."),
        stat("Transfers approved", f'sum(increase(otp_decisions_total{{{AT}, rpc="Verify", purpose="Transfer", decision="Allow", repeated="false"}}[$__range]))'),
        stat("Registrations", f'sum(increase(otp_decisions_total{{{AT}, rpc="Register", outcome="Accepted", repeated="false"}}[$__range]))', text="利用登録"),
        stat("Stopped", f'sum(increase(otp_decisions_total{{{AT}, rpc="Suspend", outcome="Accepted", repeated="false"}}[$__range]))', text="利用停止"),
        stat("Losses reported", f'sum(increase(otp_decisions_total{{{AT}, rpc="ReportLost", repeated="false"}}[$__range])) or vector(0)', text="紛失・盗難・アンインストール"),
        stat("Right at the first go", f'sum(rate(otp_decisions_total{{{AT}, rpc="Verify", outcome="Accepted"}}[$__range])) / sum(rate(otp_decisions_total{{{AT}, rpc="Verify", outcome!="Bypassed"}}[$__range]))',
             SHARE, ((-1, RED), (0.5, ORANGE), (0.8, GREEN)), "Accepted, of all Verify with an OTP."),
        lines("Answers to Verify", (rate("otp_decisions_total", "outcome", f'{AT}, rpc="Verify"'), "{{outcome}}"), unit=PER_SECOND, width=16),
        lines("Let in or not", (rate("otp_decisions_total", "decision", f'{AT}, rpc="Verify"'), "{{decision}}"), unit=PER_SECOND),
        lines("Registering, stopping, replacing", (rate("otp_decisions_total", "rpc, outcome", f'{AT}, rpc=~"Register|Suspend|Replace|Resynchronize"'), "{{rpc}}: {{outcome}}"), unit=PER_SECOND, width=16),
        lines("What the OTP approves", (rate("otp_decisions_total", "purpose", f'{AT}, rpc="Verify"'), "{{purpose}}"), unit=PER_SECOND),
        lines("Place of matching OTPs", (rate("otp_match_offset_count", "side", AT), "{{side}}"), unit=PER_SECOND,
              text="Of accepted OTPs: the time step expected, or one behind or ahead. Most off to one side: clocks are wrong."),
        lines("Learned drift", (rate("otp_match_drift_count", "side", AT), "{{side}}"), unit=PER_SECOND, text="Of accepted OTPs: what had been learned of the token's clock before."),
        lines("Channels", (rate("otp_decisions_total", "channel", AT), "{{channel}}"), unit=PER_SECOND),
        lines("Delivered again", (rate("otp_decisions_total", "institution", f'{AT}, repeated="true"'), "{{institution}}"), unit=PER_SECOND,
              text="Retries that were given their first answer. Many: callers lose answers on the way."),
        lines("Institutions", (rate("otp_decisions_total", "institution", AT), "{{institution}}"), unit=PER_SECOND, width=16),
    ]),
    ("otp-security", "Security", "Does somebody guess, pretend, or tamper?", [
        lines("Wrong OTPs, share of the caller's budget", (f"max by (caller, institution) (otp_guess_budget_used_ratio{{{AT}}})", "{{caller}} at {{institution}}"), unit=SHARE,
              steps=((0.3, ORANGE), (1, RED)), text="Within ten minutes, over all replicas. At 100% no OTP of this caller is looked at."),
        lines("Wrong OTPs of an institution", (f"max by (institution) (otp_guess_budget_institution_ratio{{{AT}}})", "{{institution}}"), unit=SHARE, steps=((1, RED),),
              text="Over all callers, as a share of OtpAuth__InstitutionFailureSignal."),
        lines("Share of answers that are wrong",
              (f"sum by (institution) (rate(otp_decisions_total{{{AT}, {WRONG}}}[$__rate_interval])) / sum by (institution) (rate(otp_decisions_total{{{AT}}}[$__rate_interval]))", "{{institution}}"), unit=SHARE),
        lines("Lockouts", (f"sum by (kind, institution) (otp_lockouts_total{{{AT}}})", "{{kind}}, {{institution}}"), text="Since the replicas started."),
        lines("Replays refused", (rate("otp_replays_refused_total", "refused_by", AT), "by {{refused_by}}"), unit=PER_SECOND),
        lines("Security events", ("sum by (reason) (increase(otp_security_events_total[$__rate_interval]))", "{{reason}}"), text="In each interval of the graph."),
        lines("Refused identities", ('sum by (reason) (otp_security_events_total{reason=~"CERTIFICATE_MISSING|CERTIFICATE_REFUSED|CALLER_UNKNOWN"})', "{{reason}}"),
              text="Since the replicas started. Steps are bursts: a certificate that has ended, or somebody who tries."),
        lines("Refused rights", ('sum by (reason, caller) (otp_security_events_total{reason=~"ROLE_MISSING|INSTITUTION_NOT_CALLERS|CHANNEL_NOT_CALLERS"})', "{{reason}}, {{caller}}"),
              text="Since the replicas started."),
        lines("Audit", (f"otp_audit_check_age_seconds{{{ON}}}", "since the last check, {{instance}}"), unit=SECONDS, steps=((900, RED),), text="Audit chains held against the newest signed head."),
        stat("Audit records intact", f"min(otp_audit_intact{{{ON}}})", YES_NO, ((-1, RED), (1, GREEN))),
        stat("Lost tokens used, last hour", 'sum(otp:security_events:increase1h{reason="LOST_CREDENTIAL_USED"}) or vector(0)', steps=((1, RED),)),
        stat("Keys that do not open, last hour", 'sum(otp:security_events:increase1h{reason="STORED_KEY_UNUSABLE"}) or vector(0)', steps=((1, RED),)),
    ]),
    ("otp-capacity", "Capacity", "How much is there left, and what ends soon?", [
        lines("Decisions per second", (rate("otp_decisions_total", "instance", ON), "{{instance}}"), unit=PER_SECOND),
        lines("Queue", (f"otp_queue_depth{{{ON}}}", "{{instance}}"), steps=((1024, ORANGE), (4096, RED)), text="Submissions that wait for their batch; at the red line calls are refused."),
        lines("Submissions in a batch", (f"sum by (way) (rate(otp_batch_size_sum{{{ON}}}[$__rate_interval])) / sum by (way) (rate(otp_batch_size_count{{{ON}}}[$__rate_interval]))", "{{way}}"),
              text="That share a commit, on average."),
        lines("Commits", *quantiles("otp_commit_duration_seconds", f'{ON}, result="committed"', "way"), unit=SECONDS, steps=((0.1, RED),)),
        lines("Redis", *quantiles("otp_replay_cache_duration_seconds", ON, "result"), unit=SECONDS, steps=((0.02, RED),), text="One question for a batch. Given up at the line."),
        lines("Key cache", (rate("otp_key_cache_lookups_total", "result", ON), "{{result}}"), unit=PER_SECOND, text="A miss reads the database."),
        lines("Keys in memory", (f"otp_key_cache_entries{{{ON}}}", "{{instance}}"), text="At most OtpAuth__KeyCacheEntries."),
        lines("Connections of callers", (f"sum by (instance) (kestrel_active_connections{{{ON}}})", "{{instance}}"), steps=((1000, RED),)),
        lines("TLS handshakes", (rate("kestrel_tls_handshake_duration_seconds_count", "error_type", ON), "{{error_type}}"), unit=PER_SECOND, text="Without a name: succeeded."),
        lines("Connections to PostgreSQL", (f'sum by (instance, db_client_connection_pool_name) (db_client_connection_count{{{ON}, db_client_connection_state="used"}})', "{{db_client_connection_pool_name}}, {{instance}}"),
              text="In use, by pool."),
        lines("Waiting for a thread", (f'{{__name__=~"dotnet_thread_pool_queue_length(_total)?", {ON}}}', "{{instance}}"), text="Work items in the thread pool's queue; for long above 0: too little processor time."),
        lines("Rotation", (f"max(otp_keys_to_rewrap{{{ON}}})", "to wrap anew"), text="Credentials under an older data key."),
        lines("Memory", (f"dotnet_process_memory_working_set_bytes{{{ON}}}", "{{instance}}"), unit=BYTES, steps=((850e6, RED),), width=12),
        lines("Processor", (rate("dotnet_process_cpu_time_seconds_total", "instance", ON), "{{instance}}"), text="Cores in use.", width=12),
        bars("Certificates end in", (f"min by (certificate) (otp_certificate_expiry_seconds{{{ON}}})", "{{certificate}}"), steps=ENDS_SOON, width=12),
        bars("Callers end in", (f"min by (caller) (otp_caller_certificate_expiry_seconds{{{ON}}})", "{{caller}}, certificate"), (f"min by (caller) (otp_caller_expiry_seconds{{{ON}}})", "{{caller}}, entry"), steps=ENDS_SOON, width=12),
    ]),
    ("otp-bypass", "Mobile-IB bypass", "Who is let in without an OTP, and by whose grant?", [
        stat("Without an OTP", f'sum(increase(otp_bypasses_total{{{AT}, outcome="Bypassed"}}[$__range]))', text="In the time shown."),
        stat("Refused", f'sum(increase(otp_security_events_total{{reason=~"BYPASS_.+"}}[$__range])) + (sum(increase(otp_bypasses_total{{{AT}, outcome="BypassRefused"}}[$__range])) or vector(0))'),
        stat("Share of logins without an OTP",
             f'sum(increase(otp_bypasses_total{{{AT}, outcome="Bypassed"}}[$__range])) / sum(increase(otp_decisions_total{{{AT}, rpc="Verify", purpose="Login", decision="Allow"}}[$__range]))', SHARE),
        stat("Grants", f"count(min by (caller, institution) (otp_bypass_grant_expiry_seconds{{{AT}}}) > 0)"),
        stat("First grant ends in", f"min(otp_bypass_grant_expiry_seconds{{{AT}}})", SPAN, ENDS_SOON),
        lines("Bypasses", ('sum by (caller, institution) (rate(otp_bypasses_total{' + AT + ', outcome="Bypassed"}[$__rate_interval]))', "{{caller}} at {{institution}}"), unit=PER_SECOND, width=12),
        lines("Within 15 minutes, against the day's average", (f"otp:bypasses:increase15m{{{AT}}}", "{{institution}}"),
              (f"5 * avg_over_time(otp:bypasses:increase15m{{{AT}}}[1d])", "{{institution}}, 5 times the average"), width=12, text="Above five times the average, and above 50: somebody is woken."),
        lines("Refused, by reason", ('sum by (reason, caller) (otp_security_events_total{reason=~"BYPASS_.+"})', "{{reason}}, {{caller}}"), width=12, text="Since the replicas started: no grant, kill switch, policy."),
        lines("Refused to single contractors", ('sum by (caller, institution) (otp_bypasses_total{' + AT + ', outcome="BypassRefused"})', "{{caller}} at {{institution}}"), width=12,
              text="Since the replicas started: opted out, or too often within an hour."),
        bars("Grants end in", (f"min by (caller, institution) (otp_bypass_grant_expiry_seconds{{{AT}}})", "{{caller}} at {{institution}}"), steps=ENDS_SOON, width=24),
    ]),
]

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


def threshold_steps(panel):
    steps = [{"color": GREEN, "value": None}]
    for value, colour in panel["steps"]:
        # Below the first of these everything is of its colour.
        if value in (-1, -1e12):
            steps[0]["color"] = colour
        else:
            steps.append({"color": colour, "value": value})
    return steps


def panel_of(number, panel, x, y):
    kind = panel["kind"]
    defaults = {"unit": panel["unit"], "thresholds": {"mode": "absolute", "steps": threshold_steps(panel)}}
    options = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
    if kind == "timeseries":
        defaults["min"] = None if any(value < 0 for value, _ in panel["steps"]) else 0
        defaults.update(panel["axis"])
        defaults["color"] = {"mode": "palette-classic"}
        defaults["custom"] = {"lineWidth": 2, "fillOpacity": 8, "showPoints": "never", "thresholdsStyle": {"mode": "line" if panel["steps"] else "off"}}
        options = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}
    elif kind == "bargauge":
        options.update({"orientation": "horizontal", "displayMode": "basic"})
    else:
        # What increase() makes of whole numbers is none.
        if panel["unit"] == COUNT:
            defaults["decimals"] = 0
        options.update({"colorMode": "value", "graphMode": "none"})
    return {
        "id": number,
        "type": kind,
        "title": panel["title"],
        "description": panel["text"],
        "datasource": DATASOURCE,
        "gridPos": {"h": HEIGHT[kind], "w": panel["width"], "x": x, "y": y},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": [
            {"refId": chr(ord("A") + i), "datasource": DATASOURCE, "expr": expr, "legendFormat": legend or "__auto", "instant": kind != "timeseries", "range": kind == "timeseries"}
            for i, (expr, legend) in enumerate(panel["queries"])
        ],
    }


def laid_out(panels):
    """From left to right; a panel that does not fit any more, or is of another height, begins a new row."""
    x = y = height = 0
    for number, panel in enumerate(panels, 1):
        h = HEIGHT[panel["kind"]]
        if x + panel["width"] > COLUMNS or (x > 0 and h != height):
            x, y = 0, y + height
        height = h
        yield panel_of(number, panel, x, y)
        x += panel["width"]


def variable(name, query):
    return {
        "name": name, "label": name.capitalize(), "type": "query", "datasource": DATASOURCE, "query": {"query": query, "refId": name}, "definition": query,
        "refresh": 2, "sort": 1, "multi": True, "includeAll": True, "allValue": ".*", "current": {"text": ["All"], "value": ["$__all"]},
    }


def dashboard_of(uid, title, description, panels):
    return {
        "uid": uid,
        "title": f"OTP: {title}",
        "description": description,
        "tags": ["otp-auth-service"],
        "editable": False,
        "schemaVersion": 39,
        "version": 1,
        "timezone": "browser",
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "links": [
            {"type": "dashboards", "tags": ["otp-auth-service"], "title": "OTP", "asDropdown": False, "includeVars": True, "keepTime": True},
            {"type": "link", "title": "Runbook", "url": "${runbook}", "icon": "doc", "targetBlank": True},
        ],
        "annotations": {"list": [{
            "name": "Alerts", "datasource": DATASOURCE, "enable": True, "iconColor": RED, "expr": 'ALERTS{alertstate="firing", alertname=~"Otp.+"}', "titleFormat": "{{alertname}}", "step": "30s",
        }]},
        "templating": {"list": [
            {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "current": {}},
            variable("institution", "label_values(otp_decisions_total, institution)"),
            variable("instance", 'label_values(up{job="otp-auth-service"}, instance)'),
            # Where the bank keeps deploy/RUNBOOK.md for people to read.
            {"name": "runbook", "label": "Runbook", "type": "constant", "query": "https://runbooks.bank.example/otp", "hide": 2},
        ]},
        "panels": list(laid_out(panels)),
    }


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for uid, *rest in DASHBOARDS:
        text = json.dumps(dashboard_of(uid, *rest), indent=1, ensure_ascii=False)
        (folder / f"{uid}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "dashboards")
