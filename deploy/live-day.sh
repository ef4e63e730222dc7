#!/usr/bin/env bash
# Plays a day against a real service with a Prometheus beside it, and checks alerts and dashboards on it: deploy/live-day.sh [REPORT.html]
# Takes three minutes, and a machine with little else to do: on a busy one it is the latency alert that fires, rightly.
set -euo pipefail
report=${1:+$(realpath "$1")}
cd "$(dirname "$0")/.."

bash tests/prepare.sh
dotnet build src/OtpAuthService --nologo --verbosity quiet
# Debian's Python: its grpcio is not for another one.
exec /usr/bin/python3 deploy/live/day.py ${report:+"$report"}
