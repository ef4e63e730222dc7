# shellcheck shell=bash
# How a part of deploy/check.sh says what it found. To be sourced; the part's working directory is the repository's root from here on.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
checks_failed=0

# A check that counts as one. Its output is shown only where it fails.
check() {
  local name=$1 output
  shift
  if output=$("$@" 2>&1); then
    echo "ok      $name"
  else
    echo "FAILED  $name"
    tail -n 60 <<<"$output" | sed 's/^/        /'
    checks_failed=1
  fi
}

# A check that must find a fault in what it is given: a check that cannot fail proves nothing.
check_refuses() {
  local name=$1
  shift
  if "$@" >/dev/null 2>&1; then
    echo "FAILED  $name"
    checks_failed=1
  else
    echo "ok      $name"
  fi
}

# The last line of each part.
finish_checks() {
  exit "$checks_failed"
}
