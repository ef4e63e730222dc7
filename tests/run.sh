#!/usr/bin/env bash
# The one test command: prepares the machine, builds, checks the wire contract and the migrations, runs every test.
# The last line is "N passed, N failed"; the exit code is 0 only where tests ran and none failed.
set -euo pipefail
cd "$(dirname "$0")/.."
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1

passed=0
failed=0
results=$(mktemp -d)
stores=
tests_group=

# Whatever ends the run, the sum is its last line.
finish() {
  local code=$?
  # A test host that crashed or was interrupted leaves its PostgreSQL and Redis behind.
  if [[ -n $tests_group ]]; then kill -KILL -- "-$tests_group" 2>/dev/null || true; fi
  # What was just killed may still write a last file.
  rm -rf "$results" "$stores" || true
  # An end that no check has counted is a failure too.
  if ((code != 0 && failed == 0)); then failed=1; fi
  echo "$passed passed, $failed failed"
  if ((failed > 0)); then exit 1; fi
}
trap finish EXIT

fail() {
  failed=$((failed + 1))
  echo "FAILED  $1"
}

# A step that everything after it needs: its failure ends the run. Its output is shown only then.
step() {
  local name=$1
  shift
  echo "--      $name"
  if ! "$@" >"$results/output" 2>&1; then
    fail "$name"
    show_output
    exit 1
  fi
}

# A check that counts as one test.
check() {
  local name=$1
  shift
  if "$@" >"$results/output" 2>&1; then
    passed=$((passed + 1))
    echo "ok      $name"
  else
    fail "$name"
    show_output
  fi
}

show_output() {
  tail -n 60 "$results/output" | sed 's/^/        /'
}

# Checks that count by themselves: lines of "ok" and "FAILED", and a sum as the last one.
checks_of() {
  local name=$1 found
  shift
  found=0
  "$@" >"$results/output" 2>&1 || found=1
  head -n -1 "$results/output"
  passed=$((passed + $(grep -c '^ok ' "$results/output" || true)))
  failed=$((failed + $(grep -c '^FAILED ' "$results/output" || true)))
  if ((found == 1)) && ! grep -q '^FAILED ' "$results/output"; then
    fail "$name"
    show_output
  fi
}

buf() {
  tests/clients/node/node_modules/.bin/buf "$@"
}

reference_is_up_to_date() {
  buf build protos --output - | /usr/bin/python3 protos/make_reference.py | diff --unified=1 protos/REFERENCE.md -
}

no_pending_model_changes() {
  dotnet ef migrations has-pending-model-changes --no-build --project src/OtpAuthService --context "$1"
}

# Thousands of databases are made and thrown away. Where memory has room for their files, no disk is waited for: fsync stays on, but it
# would show something only where the power is cut. PostgreSQL's own user goes through the folder to its own.
keep_stores_in_memory() {
  local room
  room=$(df --output=avail -BG /dev/shm 2>/dev/null | tail -n 1 | tr -dc 0-9) || return 0
  if ((${room:-0} >= 4)); then
    stores=$(mktemp -d /dev/shm/otpauth-tests-XXXXXX)
    chmod 711 "$stores"
  fi
}

# Namespaces of each part of the tests but the last, which is all the others. Each part is a process with its own PostgreSQL and Redis, for they wait
# more than they work; a third one at once would have the others' calls run into their deadlines.
parts=("Services Verification Callers Bindings Institutions Audit Keys Credentials")

# What of deploy/check.sh takes seconds; the others start servers for minutes and are commands of their own.
deploy_parts=(helm monitoring compose dockerfile)

run_tests() {
  local part namespace filter others='' filters=()
  for part in "${parts[@]}"; do
    filter=
    for namespace in $part; do
      filter+="|FullyQualifiedName~OtpAuthService.Tests.$namespace."
      others+="&FullyQualifiedName!~OtpAuthService.Tests.$namespace."
    done
    filters+=("${filter:1}")
  done
  filters+=("${others:1}")
  # A session of its own, so that what it starts can be ended with it. A test that hangs would otherwise be the last thing ever
  # heard of the run. Beyond AssemblySelectLimit the adapter would ignore the filter.
  # shellcheck disable=SC2016
  TMPDIR=${stores:-${TMPDIR:-/tmp}} setsid bash -c '
    results=$1
    shift
    running=()
    for filter; do
      part=$results/part${#running[@]}
      dotnet test OtpAuthService.sln --no-build --logger trx --results-directory "$results/trx/${#running[@]}" --filter "$filter" \
        --blame-hang-timeout 5m --blame-hang-dump-type none -- NUnit.AssemblySelectLimit=100000 >"$part" 2>&1 &
      running+=($!)
    done
    code=0
    for process in "${running[@]}"; do wait "$process" || code=$?; done
    cat "$results"/part* >"$results/output"
    exit "$code"' run_tests "$results" "${filters[@]}" &
  tests_group=$!
  wait "$tests_group"
}

step "prepare" bash tests/prepare.sh
step "build" dotnet build OtpAuthService.sln --configuration Debug
step "dotnet tools" dotnet tool restore

check "wire contract: lint" buf lint protos
check "wire contract: format" buf format protos --diff --exit-code
check "wire contract: only additions since the last release" buf breaking protos --against protos/released.binpb
check "wire contract: its reference is up to date" reference_is_up_to_date
check "migrations fit the model: PostgreSQL" no_pending_model_changes PostgresOtpDbContext
check "migrations fit the model: SQLite" no_pending_model_changes SqliteOtpDbContext

echo "--      deploy"
checks_of "deploy/check.sh" bash deploy/check.sh "${deploy_parts[@]}"

echo "--      tests"
keep_stores_in_memory
tests_code=0
run_tests || tests_code=$?
python3 tests/trx_summary.py "$results/trx" >"$results/summary"
# First line: how many passed and failed; then what failed.
read -r tests_passed tests_failed <"$results/summary"
tail -n +2 "$results/summary"
passed=$((passed + tests_passed))
failed=$((failed + tests_failed))

if ((tests_code != 0 && tests_failed == 0)); then
  fail "dotnet test ended with $tests_code though no test failed: a crash, or a test that hung"
  show_output
elif ((tests_passed + tests_failed == 0)); then
  fail "no test ran"
  show_output
fi
