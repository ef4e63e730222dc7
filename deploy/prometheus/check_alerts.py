#!/usr/bin/python3
"""Holds the alerts against their tests and against the runbook.

Every alert has a firing and a silent case; a firing case waits for the time that the alert promises, and no longer; every alert has its heading in RUNBOOK.md, and
every heading its alert; every panel that the runbook names is there; and whatever rules and panels ask for is on the page of signals.
"""

import json
import pathlib
import re
import sys

import yaml

HERE = pathlib.Path(__file__).resolve().parent
SIGNALS = pathlib.Path("src/OtpAuthService/Telemetry/README.md")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
faults = []


def seconds(text):
    return sum(int(number) * SECONDS[unit] for number, unit in re.findall(r"(\d+)([smhd])", text))


def read(file):
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def check_alert(alert):
    name, labels, annotations = alert["alert"], alert["labels"], alert["annotations"]
    if labels.get("severity") not in ("page", "ticket"):
        faults.append(f"{name}: severity is neither page nor ticket")
    if annotations.get("runbook_url") != f"deploy/RUNBOOK.md#{name.lower()}":
        faults.append(f"{name}: runbook_url is not that of its heading")
    for needed in ("summary", "description", "fires_within"):
        if not annotations.get(needed):
            faults.append(f"{name}: no {needed}")
    if seconds(alert.get("for", "0s")) >= seconds(annotations.get("fires_within", "")):
        faults.append(f"{name}: fires_within leaves no time beyond its for")


def is_of(alert, expected):
    """Alerts of one name are told apart by the labels that their rules add."""
    return all(expected["exp_labels"].get(label) == value for label, value in alert["labels"].items())


def check_tests(alerts, tests):
    fired, silent = set(), set()
    for test in tests:
        begun = re.search(r"from (\d+)m on", test["name"])
        for case in test["alert_rule_test"]:
            rules = [i for i, alert in enumerate(alerts) if alert["alert"] == case["alertname"]]
            if not rules:
                faults.append(f"{test['name']}: there is no alert {case['alertname']}")
            expected = case["exp_alerts"]
            of_this = {i for i in rules if any(is_of(alerts[i], alert) for alert in expected)}
            silent |= set(rules) - of_this
            # A case that says when the fault begins and waits just as long as is promised.
            fired |= {i for i in of_this if begun and seconds(case["eval_time"]) <= int(begun[1]) * 60 + seconds(alerts[i]["annotations"]["fires_within"])}
    for i, alert in enumerate(alerts):
        labels = ", ".join(f"{label} {value}" for label, value in alert["labels"].items())
        if i not in fired:
            faults.append(f"{alert['alert']} ({labels}): no test in which it fires within {alert['annotations']['fires_within']} of its fault")
        if i not in silent:
            faults.append(f"{alert['alert']} ({labels}): no test in which it is silent")


def check_runbook(alerts, runbook, panels):
    headings = re.findall(r"^### (\w+)$", runbook, re.MULTILINE)
    names = {alert["alert"] for alert in alerts}
    faults.extend(f"{name}: no heading in RUNBOOK.md" for name in sorted(names - set(headings)))
    faults.extend(f"RUNBOOK.md: {heading} is no alert" for heading in sorted(set(headings) - names))
    faults.extend(f"RUNBOOK.md: {heading} stands there twice" for heading in sorted(names) if headings.count(heading) > 1)
    for heading, text in re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", runbook, re.MULTILINE | re.DOTALL):
        said = text.split("**Customers:**")[0]
        for severity in {alert["labels"]["severity"] for alert in alerts if alert["alert"] == heading}:
            if severity not in said:
                faults.append(f"RUNBOOK.md: {heading} does not say that it is a {severity}")
        faults.extend(f"RUNBOOK.md: {heading} lacks '{part}'" for part in ("**Customers:**", "**Look at:**", "**Do:**", "**Wake:**") if part not in text)
        faults.extend(f"RUNBOOK.md: {heading}: no panel '{panel}'" for panel in re.findall(r"(?<!\*)\*([^*\n]+ / [^*\n]+)\*(?!\*)", text) if panel not in panels)


def check_signals(expressions, page):
    """Of the service's own: the platform's are not listed one by one."""
    known = {name for row in re.findall(r"^\| `[a-z_.]+` \| (.*?) \|", page, re.MULTILINE) for name in re.findall(r"`([a-z_]+)`", row)}
    for name in sorted({name for expression in expressions for name in re.findall(r"\b(?:otp|rpc_server)_[a-z_]+", expression)}):
        if name not in known and re.sub("_(bucket|count|sum)$", "", name) not in known:
            faults.append(f"{name} is not on the page of signals")


def main():
    rules = [rule for file in ("recording", "alerts") for group in read(HERE / f"rules/{file}.yaml")["groups"] for rule in group["rules"]]
    alerts = [rule for rule in rules if "alert" in rule]
    tests = [test for file in sorted((HERE / "tests").glob("*.yaml")) for test in read(file)["tests"]]
    dashboards = [json.loads(file.read_text(encoding="utf-8")) for file in (HERE.parent / "grafana/dashboards").glob("*.json")]
    panels = {f"{dashboard['title'].removeprefix('OTP: ')} / {panel['title']}" for dashboard in dashboards for panel in dashboard["panels"]}
    for alert in alerts:
        check_alert(alert)
    check_tests(alerts, tests)
    queries = [target["expr"] for dashboard in dashboards for panel in dashboard["panels"] for target in panel["targets"]]
    check_signals([*(rule["expr"] for rule in rules), *queries], SIGNALS.read_text(encoding="utf-8"))
    check_runbook(alerts, (HERE.parent / "RUNBOOK.md").read_text(encoding="utf-8"), panels)
    print("\n".join(faults) or f"{len(alerts)} rules of {len({alert['alert'] for alert in alerts})} alerts, {len(tests)} tests")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
