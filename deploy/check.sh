#!/usr/bin/env bash
# Checks what runs the service: dashboards and alerts, chart, compose file, image. All parts, or those that are named: deploy/check.sh helm
# Each part is a script in deploy/checks. The last line is "N passed, N failed".
set -euo pipefail
cd "$(dirname "$0")/.."

results=$(mktemp -d)
finish() {
  local code=$? passed failed
  passed=$(grep -c '^ok ' "$results/lines" || true)
  failed=$(grep -c '^FAILED ' "$results/lines" || true)
  # An end that no check has counted is a failure too.
  if ((code != 0 && failed == 0)); then failed=1; fi
  rm -rf "$results"
  echo "${passed:-0} passed, ${failed:-0} failed"
  if ((${failed:-0} > 0)); then exit 1; fi
}
trap finish EXIT
: >"$results/lines"

if (($# == 0)); then
  for part in deploy/checks/*.sh; do
    part=$(basename "$part" .sh)
    if [[ $part != checking ]]; then set -- "$@" "$part"; fi
  done
fi

code=0
for part; do
  bash "deploy/checks/$part.sh" 2>&1 | tee -a "$results/lines" || code=1
done
exit "$code"
