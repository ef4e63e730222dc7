#!/usr/bin/env bash
# deploy/compose.yaml: what the file says, and its first start for real - certificates and passwords, PostgreSQL with its roles, Redis - without a container engine.
# The service itself, in its image: deploy/check.sh image.
# Functions are called by check and its like.
# shellcheck disable=SC2317
# shellcheck source=deploy/checks/checking.sh
source "$(dirname "$0")/checking.sh"
# shellcheck source=deploy/checks/compose/running.sh
source deploy/checks/compose/running.sh
enter_namespaces "$@"
readonly made=$state/volumes

file_is_right() {
  python deploy/checks/compose/compose_file.py check "$1" "$state/first-start"
}

# What first-start.sh has put in volumes, by the folders it knows: those of the file's own mounts.
first_start_folders() {
  mkdir -p "$state/first-start"
  for folder in callers audit-heads; do ln -sfn "$made/$folder" "$state/first-start/$folder"; done
  for folder in postgres redis migrate otp-auth-service grafana; do ln -sfn "$made/$folder-secrets" "$state/first-start/$folder"; done
}

# The file with one thing wrong.
file_but() {
  sed -e "$1" deploy/compose.yaml >"$state/wrong.yaml"
  if cmp -s deploy/compose.yaml "$state/wrong.yaml"; then
    # Nothing was made wrong: that would be refused by nobody.
    return 0
  fi
  file_is_right "$state/wrong.yaml"
}

everything_made() {
  find "$made" -printf '%p %i %u %m %s %T@\n' | sort
}

second_start_changes_nothing() {
  local before
  before=$(everything_made)
  run_service first-start
  diff <(echo "$before") <(everything_made)
}

# Somebody has given the service another certificate.
renewed_files_stay() {
  echo renewed >"$made/otp-auth-service-secrets/server.pem"
  run_service first-start
  [[ $(<"$made/otp-auth-service-secrets/server.pem") == renewed ]]
}

# The service's role, as compose's first start leaves it; over the network, by TLS.
psql_as() {
  local role=$1
  shift
  PGPASSWORD=$(<"$made/postgres-secrets/$role.password") psql --no-psqlrc --quiet --tuples-only --no-align \
    "host=postgres hostaddr=127.0.0.1 user=$role dbname=otp sslmode=${mode:-verify-full} sslrootcert=$made/kept/made/postgres/ca.pem" "$@"
}

roles_log_in() {
  [[ $(psql_as otp_service --command "SELECT current_user || ' ' || ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == "otp_service true" ]] &&
    psql_as otp_migration --command "CREATE TABLE tried (); DROP TABLE tried" && psql_as otp_reading --command "SELECT 1"
}

commits_are_durable() {
  [[ $(psql_as otp_service --command "SELECT current_setting('synchronous_commit') || ' ' || current_setting('fsync') || ' ' || current_setting('data_checksums')") == "on on on" ]]
}

without_tls() {
  mode=disable psql_as otp_service --command "SELECT 1"
}

superuser_over_the_network() {
  cp "$made/postgres-secrets/postgres.password" "$state/password" && PGPASSWORD=$(<"$state/password") psql --no-psqlrc "host=127.0.0.1 user=postgres dbname=otp" --command "SELECT 1"
}

service_makes_a_table() {
  psql_as otp_service --command "CREATE TABLE mine ()"
}

password_in_log() {
  grep -q -F -f <(cat "$made"/postgres-secrets/*.password) "$state/postgres.log"
}

redis_cli() {
  redis-cli -h 127.0.0.1 --sni redis --tls --cacert "$made/kept/made/redis/ca.pem" "$@"
}

redis_says() {
  [[ $(REDISCLI_AUTH=$(<"$made/redis-secrets/password") redis_cli CONFIG GET "$1" | tail -n 1) == "$2" ]]
}

redis_without_password() {
  redis_cli ping | grep -q PONG
}

redis_without_tls() {
  redis-cli -h 127.0.0.1 ping | grep -q PONG
}

check "compose: the file is one that a compose client takes" docker-compose --file deploy/compose.yaml config --quiet
check "compose: first start" run_service first-start
first_start_folders
check "compose: every rule holds: loopback, read-only, no capabilities, no secrets, mounts, settings, order" file_is_right deploy/compose.yaml
check "compose: a second start changes nothing" second_start_changes_nothing

check_refuses "compose: a port for other machines is seen" file_but 's/127.0.0.1:9090:9090/9090:9090/'
check_refuses "compose: a root file system that can be written is seen" file_but 's/read_only: true/read_only: false/'
check_refuses "compose: capabilities are seen" file_but 's/cap_drop: \[ALL\]/cap_drop: [SYS_ADMIN]/'
check_refuses "compose: an image of no version is seen" file_but 's/redis:7.2-bookworm/redis:latest/'
check_refuses "compose: a password in the clear is seen" file_but 's|POSTGRES_PASSWORD_FILE: .*|POSTGRES_PASSWORD: hunter2|'
check_refuses "compose: a mount of nothing is seen" file_but 's|./make-roles.sql|./make-rules.sql|'
check_refuses "compose: a setting that the service has not is seen" file_but 's/OtpAuth__KekFile/OtpAuth__KeyFile/'
check_refuses "compose: a secret that nobody makes is seen" file_but 's|/run/secrets/otp/kek|/run/secrets/otp/key|'
check_refuses "compose: a secret of another program is seen" file_but 's|- migrate-secrets:/run|- otp-auth-service-secrets:/run|; s|/run/secrets/otp/postgres$|/run/secrets/otp/postgres.password|'
check_refuses "compose: a service that does not wait for the schema is seen" file_but 's/migrate: {condition: service_completed_successfully}/migrate: {condition: service_started}/'
check_refuses "compose: a way out of the stores' network is seen" file_but 's/internal: true/internal: false/'

start_service postgres
start_service redis
check "compose: PostgreSQL makes its data and is healthy" wait_until_healthy postgres
check "compose: Redis is healthy" wait_until_healthy redis
check "compose: PostgreSQL's roles log in by TLS and password" roles_log_in
check "compose: PostgreSQL's commits are durable" commits_are_durable
check_refuses "compose: PostgreSQL takes nobody without TLS" without_tls
check_refuses "compose: PostgreSQL's superuser does not come over the network" superuser_over_the_network
check_refuses "compose: the service's role makes nothing in the database" service_makes_a_table
check_refuses "compose: no password is in PostgreSQL's log" password_in_log
check "compose: Redis evicts nothing" redis_says maxmemory-policy noeviction
check "compose: Redis appends to a file" redis_says appendonly yes
check_refuses "compose: Redis takes nobody without a password" redis_without_password
check_refuses "compose: Redis takes nobody without TLS" redis_without_tls
# The signal of its image.
check "compose: PostgreSQL stops" stop_service postgres INT
start_service postgres
check "compose: PostgreSQL starts again on its data" wait_until_healthy postgres
check "compose: the roles are still there" roles_log_in
check "compose: a file that somebody has renewed stays" renewed_files_stay
finish_checks
