#!/usr/bin/env bash
# Run by PostgreSQL's image when it has made its data folder: the service's roles, with the passwords that first-start.sh has made.
set -euo pipefail
psql() {
  command psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --dbname otp "$@"
}

psql --file /deploy/make-roles.sql
for role in otp_migration otp_service otp_reading; do
  # Read by psql itself: on a command line others could see it. Statements are not logged here.
  psql --set role="$role" --set file="/run/secrets/postgres/$role.password" <<'SQL'
\set password `cat :'file'`
ALTER ROLE :"role" PASSWORD :'password';
SQL
done
