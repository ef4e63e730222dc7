#!/usr/bin/env bash
# Stands in for the entry point of PostgreSQL's image, which cannot be pulled here: what it is documented to do with these variables on its first start
# and on later ones, with this machine's PostgreSQL.
set -euo pipefail
PATH=$(printf "%s\n" /usr/lib/postgresql/*/bin | sort -V | tail -n 1):$PATH
export PGDATA=/var/lib/postgresql/data POSTGRES_USER=postgres
if [[ ! -s $PGDATA/PG_VERSION ]]; then
  # shellcheck disable=SC2086
  initdb --username=postgres --pwfile="$POSTGRES_PASSWORD_FILE" --auth-host=scram-sha-256 --no-sync $POSTGRES_INITDB_ARGS >/dev/null
  # Without TCP until all is set up, and with the command's own settings.
  pg_ctl --silent --wait --options="-c listen_addresses='' $(printf '%q ' "${@:2}")" start >/dev/null
  psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --dbname postgres --command "CREATE DATABASE $POSTGRES_DB"
  for script in /docker-entrypoint-initdb.d/*; do
    "$script"
  done
  pg_ctl --silent --wait --mode=fast stop
fi
exec "$@" -c listen_addresses='*'
