#!/usr/bin/env bash
# N and N+1 on one database, under the load of the shipped client: the version before the newest migration is built from the history, serves, and is
# replaced by this one, replica by replica. Another version to come from: OTP_UPGRADE_FROM=v0.1.0 deploy/check.sh upgrade. Some minutes.
# Needs the history: a shallow clone has none.
source "$(dirname "${BASH_SOURCE[0]}")/checking.sh"

migrations=src/OtpAuthService/Storage/Migrations/Postgres
newest=$(git log -1 --format=%H --diff-filter=A -- "$migrations")
from=${OTP_UPGRADE_FROM:-$newest~1}
before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT

build_before() {
  git archive "$from" | tar -x -C "$before"
  dotnet build "$before/src/OtpAuthService" --configuration Debug -p:RunAnalyzers=false
}

update_under_load() {
  OTP_SERVICE_BEFORE="$before/src/OtpAuthService/bin/Debug/net10.0/OtpAuthService.dll" \
    dotnet test tests/OtpAuthService.Tests --no-build --filter "FullyQualifiedName~Replicas_OfTheVersionBefore" --logger "console;verbosity=detailed" >"$before/output" 2>&1
  cat "$before/output"
  # A test that was left out, or not found, is no error to the runner.
  grep -q "Passed Replicas_OfTheVersionBefore" "$before/output"
}

check "upgrade: $(git describe --always "$from") is built from the history" build_before
check "upgrade: this version is built" dotnet build tests/OtpAuthService.Tests --configuration Debug
check "upgrade: every call is answered and no OTP accepted twice, while $(git describe --always "$from") is replaced by this version" update_under_load
finish_checks
