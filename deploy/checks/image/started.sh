#!/usr/bin/env bash
# Starts an image as deploy/compose.yaml says, on PostgreSQL and Redis as it says, and calls it over mutual TLS: image/started.sh ROOT-FILE-SYSTEM CONFIG
# CONFIG: the image's, as OCI has it.
# Functions are called by check and its like.
# shellcheck disable=SC2317
# shellcheck source=deploy/checks/checking.sh
source "$(dirname "$0")/../checking.sh"
# shellcheck source=deploy/checks/compose/running.sh
source deploy/checks/compose/running.sh
enter_namespaces "$@"
# shellcheck disable=SC2034
service_image=(--image "$1" "$2")
readonly service=127.0.0.1:5081

stores_start() {
  run_service first-start && start_service postgres && start_service redis && wait_until_healthy postgres && wait_until_healthy redis
}

not_migrated() {
  start_service otp-auth-service
  eventually test -s "$state/otp-auth-service.code"
  grep -q "otpctl migrate --apply" "$state/otp-auth-service.log" && [[ $(<"$state/otp-auth-service.code") == 1 ]]
}

service_starts() {
  local begin=${EPOCHREALTIME/./}
  start_service otp-auth-service
  until curl --silent --fail "http://$service/health/ready" >/dev/null; do
    if [[ -s $state/otp-auth-service.code ]] || ((${EPOCHREALTIME/./} - begin > 60000000)); then
      cat "$state/otp-auth-service.log"
      return 1
    fi
    sleep 0.05
  done
  echo "$(((${EPOCHREALTIME/./} - begin) / 1000)) ms" >"$state/start-time"
}

nothing_strange_is_logged() {
  ! grep -v -e '^info: ' -e '^      ' "$state/otp-auth-service.log"
}

metrics() {
  curl --silent --fail "http://$service/metrics" | grep '^otp_' >"$state/metrics"
  grep -q '^otp_store_available.* 1' "$state/metrics" && grep -q '^otp_replay_cache_degraded.* 0' "$state/metrics"
}

process() {
  command crun --root "$state/crun" state otp-auth-service | jq .pid
}

runs_as_it_should() {
  local status
  status=$(</proc/"$(process)"/status)
  echo "$status"
  grep -q $'^Uid:\t1654\t1654\t1654\t1654$' <<<"$status" && grep -q $'^Gid:\t1654\t' <<<"$status" && grep -q $'^NoNewPrivs:\t1$' <<<"$status" &&
    [[ $(grep -c $'^Cap...:\t0000000000000000$' <<<"$status") == 5 ]]
}

# What can be written: memory, and the folder of the audit heads.
root_is_read_only() {
  local places
  places=$(awk '{split($6, options, ","); if (options[1] == "rw") print $5}' /proc/"$(process)"/mountinfo | grep -v -e ^/proc -e ^/dev | sort | tr '\n' ' ')
  [[ $places == "/tmp /var/lib/otp-auth-service " ]] || { echo "can be written: $places"; return 1; }
}

only_known_callers() {
  local ask=(curl --silent --output /dev/null --http2 --cacert "$state/volumes/callers/ca.pem" --connect-to ::127.0.0.1: https://otp-auth-service:5080/)
  # Whoever has one is answered, whatever the answer is.
  "${ask[@]}" --cert "$state/volumes/callers/ib-1.pem" --key "$state/volumes/callers/ib-1.key" && ! "${ask[@]}"
}

# otpctl of the image, as one of the callers.
otpctl_as() {
  local caller=$1
  shift
  run_service otpctl --certificate "/run/secrets/callers/$caller.pem" --key "/run/secrets/callers/$caller.key" "$@"
}

credential_is_issued() {
  otpctl_as desk-1 institution set --display-name 'Demo Shinkin Bank' --reason 'set up' --apply &&
    otpctl_as desk-1 credential issue --apply --json >"$state/credential.json"
}

# The OTP of so many seconds from now, by another implementation.
otp() {
  oathtool --totp --base32 --now "$(date -u -d "$1 seconds" '+%F %T UTC')" "$(jq -r .otpauth_uri "$state/credential.json" | sed 's/.*secret=\([A-Z2-7]*\).*/\1/')"
}

# The OTP before the present one, so that the present one is left.
registered() {
  otp -30 | otpctl_as ib-1 binding register --contractor C-0001 --credential "$(jq -r .credential_id "$state/credential.json")" --apply
}

accepted() {
  otp 0 >"$state/otp"
  otpctl_as ib-1 binding verify --contractor C-0001 <"$state/otp" | tee "$state/answer"
  grep -q ACCEPTED "$state/answer"
}

accepted_again() {
  otpctl_as ib-1 binding verify --contractor C-0001 <"$state/otp"
}

front_end_as_operator() {
  otpctl_as ib-1 binding unlock --contractor C-0001 --reason 'not its right' --apply
}

doctor_is_content() {
  otpctl_as desk-1 doctor
}

records_fit_the_heads() {
  eventually test -s "$state/volumes/audit-heads/heads.jsonl"
  otpctl_as desk-1 audit verify --heads /var/lib/otp-auth-service/heads.jsonl
}

check "image: PostgreSQL and Redis start, as compose.yaml has them" stores_start
check "image: it refuses a database without its tables, and says what to do" not_migrated
check "image: its otpctl migrates as otp_migration" run_service migrate
check "image: it starts as otp_service and is ready" service_starts
echo "--      ready after $(cat "$state/start-time")"
check "image: it logs nothing but information" nothing_strange_is_logged
check "image: metrics say that PostgreSQL and Redis are well" metrics
check "image: its process is user 1654, without capabilities or ways to them" runs_as_it_should
check "image: its root file system cannot be written" root_is_read_only
check "image: nobody calls without a certificate" only_known_callers
check "image: an operator sets an institution up and issues a credential" credential_is_issued
check "image: a front end registers it" registered
check "image: a front end's Verify is accepted" accepted
check_refuses "image: the same OTP is not accepted again" accepted_again
check_refuses "image: a front end is no operator" front_end_as_operator
check "image: doctor finds no fault" doctor_is_content
check "image: heads of the audit chains are on their volume, and fit" records_fit_the_heads
check "image: it ends with 0 at SIGTERM" stop_service otp-auth-service
finish_checks
