-- Who may do what on every table, for the roles of deploy/make-roles.sql. Whoever migrates applies it afterwards as the owner of the tables, again and
-- again; by hand it is psql -f. It is one statement, so that nobody sees it half done. A role that is not there gets nothing.
--
-- otp_service    the running service: what its code does, and no more. Nothing that is on record can be altered or removed with it.
-- otp_reading    reports and auditors: everything but wrapped keys and the keyed digests of requests.
-- otp_migration  owns it all, so it needs no line here.
--
-- While a release is rolled out, the version before works with these rights too: what it still needs is taken away by the release after.
DO $grants$
DECLARE
    owner constant oid := (SELECT relowner FROM pg_class WHERE oid = to_regclass('audit_trail'));
    schema constant oid := current_schema()::regnamespace;
    others text := 'PUBLIC';
    thing text;
BEGIN
    IF owner IS NULL OR NOT pg_has_role(owner, 'USAGE') THEN
        RAISE NOTICE 'only the owner of the tables can give rights on them: nothing was done';
        RETURN;
    END IF;

    -- Replicas that start at the same time, one after the other.
    PERFORM pg_advisory_xact_lock(hashtext('otp grants'));

    SELECT concat_ws(', ', others, string_agg(name, ', ')) INTO others
    FROM unnest(ARRAY['otp_service', 'otp_reading']) AS name WHERE to_regrole(name) IS NOT NULL;

    -- Begin with nothing, on partitions of audit_trail too: they are reached through the table alone.
    FOR thing IN SELECT oid::regclass FROM pg_class WHERE relnamespace = schema AND relowner = owner AND relkind IN ('r', 'p', 'v', 'm', 'S') LOOP
        EXECUTE format('REVOKE ALL ON TABLE %s FROM %s', thing, others);
    END LOOP;
    FOR thing IN SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = schema AND proowner = owner LOOP
        EXECUTE format('REVOKE ALL ON ROUTINE %s FROM %s', thing, others);
    END LOOP;

    -- And whatever is made later has nothing either: partitions, which the running service has made, and functions, which PostgreSQL opens to everybody.
    IF owner = to_regrole('otp_migration') THEN
        EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE otp_migration REVOKE ALL ON TABLES FROM %s', others);
        EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE otp_migration IN SCHEMA %s REVOKE ALL ON TABLES FROM %s', schema::regnamespace, others);
        EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE otp_migration REVOKE ALL ON FUNCTIONS FROM %s', others);
    END IF;

    -- It has the rights of its owner when the service runs it: no name in it may mean anything that somebody else has made.
    EXECUTE format('ALTER FUNCTION ensure_audit_partitions(bigint) SET search_path = %s, pg_temp', schema::regnamespace);
    EXECUTE format('ALTER FUNCTION next_event_id() SET search_path = %s, pg_temp', schema::regnamespace);

    IF to_regrole('otp_service') IS NOT NULL THEN
        -- The records: written once.
        GRANT SELECT, INSERT ON audit_trail, audit_heads TO otp_service;
        GRANT SELECT, INSERT, UPDATE (closed_by_head, closed_position, closed_hash) ON audit_chains TO otp_service;
        GRANT SELECT, INSERT ON policy_versions, loss_reports, supplier_dates, fences TO otp_service;
        -- audit_records: only the version before writes to it, with rights of its own.

        -- Never deleted: a credential put in again would begin with a lower last_time_step. The epoch is raised by triggers, with the rights of whoever fires them.
        GRANT SELECT, INSERT, UPDATE (last_time_step, epoch, status, key_version, wrapped_key, drift_steps, drift_days, out_of_sync_step) ON credentials TO otp_service;
        GRANT SELECT, INSERT, UPDATE (state, ended_at, reregistration_until) ON bindings TO otp_service;
        -- Never deleted: a contractor put in again would have a new guess budget.
        GRANT SELECT, INSERT, UPDATE (
            consecutive_failures, locked_until, never_bypassed, bypass_hour, bypasses_in_hour, temporary_otp_salt, temporary_otp_issued_under,
            temporary_otp_issued_by, temporary_otp_issued_by_operator, temporary_otp_expires_at, temporary_otp_uses_left, temporary_otp_awaits_confirmation)
            ON contractors TO otp_service;
        GRANT SELECT, INSERT, UPDATE (
            display_name, policy_version, look_back_steps, look_ahead_steps, temporary_limit, hard_limit, temporary_lock, not_registered_login, suspended_login,
            channels_needing_otp, foreign_loss_reports, outcome_detail, audit_contractor_ids, temporary_otp_needs_confirmation,
            contractor_may_unlock, bypass_stopped_at) ON institutions TO otp_service;

        GRANT SELECT, INSERT, UPDATE (confirmed_at, confirmed_by, confirmed_by_operator, fetched_at) ON export_orders TO otp_service;

        -- What a rotation replaces and removes, what is swept, and what is counted for some minutes.
        GRANT SELECT, INSERT, UPDATE (kek_version, wrapped_key), DELETE ON data_keys TO otp_service;
        GRANT SELECT, INSERT, UPDATE, DELETE ON answers TO otp_service;
        GRANT SELECT, INSERT, UPDATE (failures), DELETE ON failure_minutes TO otp_service;
        GRANT SELECT, INSERT, DELETE ON events TO otp_service;

        GRANT SELECT ON "__EFMigrationsHistory" TO otp_service;
        GRANT EXECUTE ON FUNCTION ensure_audit_partitions(bigint), audit_chain(bytea, bytea), fence_in_force(), next_event_id() TO otp_service;
    END IF;

    IF to_regrole('otp_reading') IS NOT NULL THEN
        GRANT SELECT ON
            audit_trail, audit_heads, audit_chains, audit_records, policy_versions, loss_reports, supplier_dates, export_orders, fences, bindings, contractors, institutions, failure_minutes, events,
            "__EFMigrationsHistory" TO otp_reading;
        -- Not wrapped_key.
        GRANT SELECT (
            id, credential_id, key_version, algorithm, digits, period_seconds, drift_steps, drift_days, last_time_step, out_of_sync_step, epoch, status, supplier, supplied_to, valid_from,
            valid_until, created_at) ON credentials TO otp_reading;
        GRANT SELECT (version, use, kek_version, created_at) ON data_keys TO otp_reading;
        -- Not fingerprint.
        GRANT SELECT (key, outcome, decision, retry_after, attempts_left, credential_ref, imported, offset_steps, decided_at) ON answers TO otp_reading;
    END IF;
END $grants$;
