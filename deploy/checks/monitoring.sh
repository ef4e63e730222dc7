#!/usr/bin/env bash
# shellcheck disable=SC2317 # Functions that only check calls.
# Dashboards and alerts, without a service: deploy/live-day.sh is the same with one.
# shellcheck source=deploy/checks/checking.sh
source "$(dirname "$0")/checking.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A file each, two at a time.
rule_tests() {
  find deploy/prometheus/tests -name '*.yaml' -print0 | xargs -0 -P 2 -n 1 promtool test rules
}

dashboards_are_made() {
  python3 deploy/grafana/make_dashboards.py "$work/dashboards"
  diff -r deploy/grafana/dashboards "$work/dashboards"
}

# A copy in which something is broken.
broken() {
  rm -rf "$work/broken"
  mkdir -p "$work/broken"
  cp -r deploy/prometheus deploy/grafana deploy/RUNBOOK.md "$work/broken"
  sed -i "$2" "$work/broken/$1"
  if diff -r -q deploy/prometheus "$work/broken/prometheus" >/dev/null && diff -q deploy/RUNBOOK.md "$work/broken/RUNBOOK.md" >/dev/null; then
    echo "FAILED  nothing was broken: $1 $2"
    checks_failed=1
  fi
}

check "prometheus.yml and its rules are valid" promtool check config deploy/prometheus/prometheus.yml
check "every alert: firing within its time, and silent" rule_tests
check "every alert has its tests and its heading in RUNBOOK.md, every heading its alert and panels; all ask for signals that there are" /usr/bin/python3 deploy/prometheus/check_alerts.py
check "the dashboards are as make_dashboards.py makes them" dashboards_are_made

broken prometheus/rules/alerts.yaml 's/otp_match_offset_count/otp_match_offset/'
check_refuses "an alert on a metric that is not there is found" promtool test rules "$work/broken/prometheus/tests/deciding.yaml"
broken prometheus/rules/alerts.yaml 's/alert: OtpClockOff/alert: OtpClockWrong/'
check_refuses "an alert without tests and heading is found" /usr/bin/python3 "$work/broken/prometheus/check_alerts.py"
broken prometheus/rules/alerts.yaml 's/fires_within: 3m/fires_within: 150s/'
check_refuses "a promise that no test holds is found" /usr/bin/python3 "$work/broken/prometheus/check_alerts.py"
broken RUNBOOK.md 's/^### OtpKekUnreachable/### OtpKekGone/'
check_refuses "a heading of no alert is found" /usr/bin/python3 "$work/broken/prometheus/check_alerts.py"
broken RUNBOOK.md 's, / Commits\*, / Commit*,'
check_refuses "a panel that is not there is found" /usr/bin/python3 "$work/broken/prometheus/check_alerts.py"
broken prometheus/rules/alerts.yaml 's/otp_queue_depth/otp_queue_deep/'
check_refuses "a signal that is not listed is found" /usr/bin/python3 "$work/broken/prometheus/check_alerts.py"

finish_checks
