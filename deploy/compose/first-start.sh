#!/usr/bin/env bash
# Makes, on the first start of deploy/compose.yaml, what may lie in no repository: certificates, passwords, the KEK. Later starts change nothing.
# All of it is made once and kept in FOLDER/kept. Each program then gets what it needs in a folder of its own, which its user alone can read: in compose.yaml
# that is a volume each.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
readonly here folder=${1:?usage: first-start.sh FOLDER}
readonly kept=$folder/kept/made days=365

# Users of the images.
readonly otp_user=1654 postgres_user=999 redis_user=999 grafana_user=472

certificates() {
  bash "$here/../make-certificates.sh" "$@" --days "$days"
}

# 192 bits, of characters that need quoting nowhere.
password() {
  openssl rand -hex 24
}

make_all() {
  local new=$folder/kept/new name
  rm -rf "$new"
  mkdir -p "$new"
  # A CA each: a certificate of a caller is none of a server, and those of PostgreSQL and Redis are no callers.
  certificates "$new/certificates" --server-name otp-auth-service --caller spiffe://demo.example/caller/ib-1=ib-1 \
    --caller spiffe://demo.example/caller/mobile-1=mobile-1 --caller spiffe://demo.example/caller/desk-1=desk-1
  certificates "$new/postgres" --server-name postgres
  certificates "$new/redis" --server-name redis
  for name in postgres otp_migration otp_service otp_reading redis grafana; do
    password >"$new/$name.password"
  done
  openssl rand -base64 32 >"$new/kek"
  echo "user default on #$(tr -d '\n' <"$new/redis.password" | sha256sum | cut -d ' ' -f 1) ~* &* +@all" >"$new/redis.acl"
  echo "redis:6379,ssl=true,password=$(<"$new/redis.password")" >"$new/redis.connection"
  # Without GSS, whose library the image has not: Npgsql would say so on stderr.
  for name in otp_migration otp_service; do
    echo "Host=postgres;Database=otp;Username=$name;Password=$(<"$new/$name.password");SSL Mode=VerifyFull;Root Certificate=/run/secrets/otp/postgres-ca.pem;GSS Encryption Mode=Disable" >"$new/$name.connection"
  done
  # A bypass is granted for 90 days at most.
  sed -e "s/@today@/$(date -u +%FT00:00:00Z)/" -e "s/@in-90-days@/$(date -u -d '+90 days' +%FT00:00:00Z)/" "$here/callers.json" >"$new/callers.json"
  # Whole or not at all.
  mv "$new" "$kept"
}

# To whom (user and folder), then pairs of a name there and what was made. What is there stays: somebody may have renewed it.
give() {
  local user=$1 to=$folder/$2
  shift 2
  mkdir -p "$to"
  while (($# > 0)); do
    if [[ ! -e $to/$1 ]]; then
      install -m 0400 -o "$user" -g "$user" "$kept/$2" "$to/.new"
      mv "$to/.new" "$to/$1"
    fi
    shift 2
  done
  chmod 755 "$to"
}

umask 077
if [[ ! -e $kept ]]; then
  make_all
  echo "first start: certificates (valid for $days days), passwords and the KEK were made"
fi

give $postgres_user postgres server.pem postgres/server.pem server.key postgres/server.key postgres.password postgres.password \
  otp_migration.password otp_migration.password otp_service.password otp_service.password otp_reading.password otp_reading.password
give $redis_user redis server.pem redis/server.pem server.key redis/server.key ca.pem redis/ca.pem users.acl redis.acl password redis.password
give $otp_user migrate postgres otp_migration.connection postgres-ca.pem postgres/ca.pem
give $otp_user otp-auth-service postgres otp_service.connection postgres-ca.pem postgres/ca.pem redis redis.connection redis-ca.pem redis/ca.pem kek kek \
  callers.json callers.json server.pem certificates/server.pem server.key certificates/server.key ca.pem certificates/ca.pem crl.pem certificates/crl.pem
give $otp_user callers ca.pem certificates/ca.pem ib-1.pem certificates/ib-1.pem ib-1.key certificates/ib-1.key mobile-1.pem certificates/mobile-1.pem \
  mobile-1.key certificates/mobile-1.key desk-1.pem certificates/desk-1.pem desk-1.key certificates/desk-1.key
give $grafana_user grafana password grafana.password

# Where the service appends the heads of its audit chains.
mkdir -p "$folder/audit-heads"
chown $otp_user:$otp_user "$folder/audit-heads"
