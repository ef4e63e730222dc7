-- The service's three roles in PostgreSQL. Run by the DBA in the service's database, which nothing else should live in, before the first migration or
-- after it, and again in the same way whenever you like:
--
--   psql -d otp -f deploy/make-roles.sql               roles that log in. No password is set here, where logs would see it: \password otp_service
--   psql -d otp -v group=on -f deploy/make-roles.sql   group roles, for logins of your own: GRANT otp_service TO "otp-replica"
--
-- What each may do on the tables is src/OtpAuthService/Storage/Grants.sql, which is applied with every migration.
\set ON_ERROR_STOP on
\set login LOGIN
\if :{?group}
  \if :group
    \set login NOLOGIN
  \endif
\endif
SELECT current_database() AS database, current_schema() AS schema \gset

BEGIN;

SELECT format('CREATE ROLE %I', name) FROM unnest(ARRAY['otp_migration', 'otp_service', 'otp_reading']) AS name WHERE to_regrole(name) IS NULL \gexec
ALTER ROLE otp_migration :login NOCREATEDB NOCREATEROLE;
ALTER ROLE otp_service :login NOCREATEDB NOCREATEROLE;
ALTER ROLE otp_reading :login NOCREATEDB NOCREATEROLE;

-- Who gets in, and who may make anything there. PUBLIC could create temporary tables and, before PostgreSQL 15, tables and functions. A role that watches
-- the server needs GRANT CONNECT of its own.
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
REVOKE ALL ON SCHEMA :"schema" FROM PUBLIC;
REVOKE ALL ON DATABASE :"database" FROM otp_migration, otp_service, otp_reading;
REVOKE ALL ON SCHEMA :"schema" FROM otp_migration, otp_service, otp_reading;
GRANT CONNECT ON DATABASE :"database" TO otp_migration, otp_service, otp_reading;
GRANT USAGE ON SCHEMA :"schema" TO otp_migration, otp_service, otp_reading;
GRANT CREATE ON SCHEMA :"schema" TO otp_migration;

-- A role that was there before may be more than it should.
DO $$
DECLARE
    wrong text;
BEGIN
    SELECT string_agg(rolname, ', ') INTO wrong FROM pg_roles
    WHERE rolname IN ('otp_migration', 'otp_service', 'otp_reading') AND (rolsuper OR rolreplication OR rolbypassrls);
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'superuser, replication or bypassrls: % may do everything', wrong;
    END IF;
    SELECT string_agg(format('%s is a member of %s', member::regrole, roleid::regrole), ', ') INTO wrong FROM pg_auth_members
    WHERE member IN ('otp_service'::regrole, 'otp_reading'::regrole);
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION '%, and may do all that it may', wrong;
    END IF;
END $$;

COMMIT;
