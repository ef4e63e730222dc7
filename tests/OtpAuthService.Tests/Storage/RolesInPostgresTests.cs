using Google.Protobuf.WellKnownTypes;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Logging;
using Npgsql;
using OtpAuthService.Hosting;
using OtpAuthService.Tests.Credentials;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Storage;

/// <summary>
/// Roles as deploy/make-roles.sql makes them, with the rights of Grants.sql, on a server of the tests' own: roles belong to a whole server. The service does
/// all that it is for as otp_service, and whoever has got hold of that role or of otp_reading can do nothing else.
/// </summary>
[TestFixture]
public class RolesInPostgresTests
{
    private const string Refused = PostgresErrorCodes.InsufficientPrivilege;

    private PostgresServer postgres = null!;
    private StoresUnderTest stores = null!;

    private string Dba => stores.PostgresConnectionString!;

    [OneTimeSetUp]
    public async Task StartAsync()
    {
        postgres = await PostgresServer.StartNewAsync();
        stores = await NewStoresAsync();
        await MakeRolesAsync(stores);
        // What a bank may have set for all its databases must not open partitions that are made later.
        await PostgresServer.ExecuteAsync(
            Dba,
            """
            ALTER DEFAULT PRIVILEGES FOR ROLE otp_migration GRANT ALL ON TABLES TO otp_service, otp_reading;
            ALTER DEFAULT PRIVILEGES FOR ROLE otp_migration IN SCHEMA public GRANT SELECT, UPDATE ON TABLES TO PUBLIC;
            """);
        await MigrateAsync(stores);
        // A claimed time step that could be lowered.
        await using var service = await ServeAsync();
        await service.RegisteredAsync();
    }

    [OneTimeTearDown]
    public async Task StopAsync()
    {
        stores.Dispose();
        await postgres.DisposeAsync();
    }

    [Test]
    public async Task Service_AsOtpService_DoesAllThatItIsFor()
    {
        using var own = await NewStoresAsync();
        await MakeRolesAsync(own);
        await MigrateAsync(own);
        await using var service = await ServeAsync(own, "--OtpAuth:AuditHeadInterval=00:00:01");

        await DecideAsync(service);
        await OperateAsync(service);
        await RotateAsync(service, own);

        await Eventually.IsTrueAsync(() => IsTrueAsync(own, "SELECT count(*) > 0 FROM failure_minutes"), "wrong OTPs are counted for all replicas");
        await Eventually.IsTrueAsync(() => IsTrueAsync(own, "SELECT count(*) > 0 FROM audit_heads"), "a head was signed");
        await SweepAsync(service, own);
        Assert.That(service.Errors.All, Does.Not.Contain("permission denied").And.Not.Contain("must be owner"));
        Assert.That(service.Errors.Errors, Is.Empty);
    }

    private static async Task DecideAsync(OtpService service)
    {
        var (contractor, token) = await service.RegisteredAsync();
        var otp = token.At(service.Clock.GetUtcNow());
        Assert.That((await service.Auth.VerifyAsync(contractor, otp)).Outcome, Is.EqualTo(Outcome.Accepted));
        Assert.That((await service.Auth.VerifyAsync(contractor, otp)).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
        var answers = new List<Outcome>();
        for (var guess = 0; guess < 6; guess++)
        {
            answers.Add((await service.Auth.VerifyAsync(contractor, token.WrongAt(service.Clock.GetUtcNow()))).Outcome);
        }

        Assert.That(answers, Is.EqualTo([.. Enumerable.Repeat(Outcome.Mismatch, 5), Outcome.LockedOut]));
        var (leaving, leavingToken) = await service.RegisteredAsync();
        Assert.That((await service.Auth.SuspendAsync(leaving, leavingToken.At(service.Clock.GetUtcNow()))).Decision, Is.EqualTo(Decision.Allow));
        Assert.That((await service.Auth.VerifyAsync(leaving, "", channel: Channel.FeaturePhone)).Outcome, Is.EqualTo(Outcome.Bypassed));
        Assert.That((await service.Auth.RequirementAsync(leaving)).Requirement, Is.Not.EqualTo(Requirement.Unspecified));
    }

    private static async Task OperateAsync(OtpService service)
    {
        Assert.That((await service.Operations.ImportPskcAsync(PskcFiles.WithPlainKeys(("SSSS12345678", new byte[20])))).Imported, Is.EqualTo(1));
        var (robbed, token) = await service.RegisteredAsync();
        await service.Operations.ReportLostAsync(new() { RequestId = Calls.NewRequestId(), InstitutionId = "demo", ContractorId = robbed, Kind = LossKind.Stolen, Reason = "test" });
        Assert.That((await service.Auth.VerifyAsync(robbed, token.At(service.Clock.GetUtcNow()))).Outcome, Is.EqualTo(Outcome.Lost));
        await HelpAsync(service, robbed);
        await service.Operations.SetInstitutionPolicyAsync(new()
        {
            RequestId = Calls.NewRequestId(),
            InstitutionId = "demo",
            DisplayName = "Another Name",
            // Every column of the policy changes.
            Policy = new InstitutionPolicy
            {
                AcceptanceWindow = AcceptanceWindowProfile.Strict,
                TemporaryLimit = 3,
                HardLimit = 6,
                TemporaryLock = Duration.FromTimeSpan(TimeSpan.FromHours(2)),
                NotRegisteredLogin = Decision.Deny,
                SuspendedLogin = Decision.Deny,
                ChannelsNeedingOtp = { Channel.PcBrowser },
                ForeignLossReports = ForeignLossReports.Block,
                OutcomeDetail = OutcomeDetail.Generic,
                AuditContractorIds = AuditContractorIds.KeyedHash,
                TemporaryOtpNeedsConfirmation = true,
                ContractorMayUnlock = true,
            },
            ExpectedVersion = 1,
            Reason = "test",
        });
        var temporary = await service.Operations.IssueTemporaryOtpAsync(robbed, person: "h.sato");
        await service.Operations.ConfirmTemporaryOtpAsync(robbed, temporary, "m.ito");
        await ExportAsync(service);
        await service.Operations.SetSupplierAsync(new()
        {
            RequestId = Calls.NewRequestId(), InstitutionId = "demo", Supplier = new Supplier { Name = "Manufacturer" }, Reason = "test",
        });
        await service.Operations.SetBypassOptOutAsync(new() { RequestId = Calls.NewRequestId(), InstitutionId = "demo", ContractorId = robbed, NeverBypass = true, Reason = "test" });
        await service.Operations.RaiseFenceAsync(new() { RequestId = Calls.NewRequestId(), InstitutionId = "demo", Until = new Timestamp(), Reason = "test" });
        await service.Operations.StopBypassAsync(new() { RequestId = Calls.NewRequestId(), InstitutionId = "demo", Reason = "test" });
        await service.Operations.ResumeBypassAsync(new() { RequestId = Calls.NewRequestId(), InstitutionId = "demo", Reason = "test" });
        Assert.That((await service.Operations.EventsUntilNowAsync()).Select(e => e.Kind), Does.Contain(EventKind.Registered).And.Contain(EventKind.DuplicateUse).And.Contain(EventKind.Bypassed));
    }

    private static async Task ExportAsync(OtpService service)
    {
        var order = await service.Operations.RequestExportAsync(new()
        {
            RequestId = Calls.NewRequestId(), InstitutionId = "demo", Scope = ExportScope.RegisteredAndUnused, Reason = "test", OperatorId = "h.sato",
        });
        await service.Operations.ConfirmExportAsync(new()
        {
            RequestId = Calls.NewRequestId(), InstitutionId = "demo", ExportId = order.ExportId, Reason = "test", OperatorId = "m.ito",
        });
        using var file = service.Operations.ExportCredentials(new()
        {
            RequestId = Calls.NewRequestId(), InstitutionId = "demo", ExportId = order.ExportId, PreSharedKey = Google.Protobuf.ByteString.CopyFrom(new byte[32]), OperatorId = "h.sato",
        });
        Assert.That(await file.ResponseStream.MoveNext(CancellationToken.None), Is.True);
    }

    /// <summary>Every column that the help desk writes, and those that a clock that is off does.</summary>
    private static async Task HelpAsync(OtpService service, string robbed)
    {
        await service.Operations.OpenReregistrationAsync(robbed);
        await service.Operations.UnlockAsync(robbed);
        var (contractor, token) = await service.RegisteredAsync();
        await service.Operations.SuspendBindingAsync(contractor);
        await service.Operations.ResumeBindingAsync(contractor);
        await service.Operations.CheckOtpAsync(contractor, token.At(service.Clock.GetUtcNow()));
        service.Clock.Advance(TimeSpan.FromMinutes(2));
        var now = service.Clock.GetUtcNow();
        // Drift, and a step that is told to be out of sync.
        Assert.That((await service.Auth.ResynchronizeAsync(contractor, token.At(now, 10), token.At(now, 11))).Decision, Is.EqualTo(Decision.Allow));
        await service.Auth.VerifyAsync(contractor, token.At(now, 40));
        Assert.That((await service.CredentialAsync(token)).OutOfSyncStep, Is.Not.Null);
    }

    /// <summary>Until every credential is under the new data key, and the old one is gone.</summary>
    private static async Task RotateAsync(OtpService service, StoresUnderTest own)
    {
        var before = (await KeysAsync()).DataKeys.Where(k => k.Use == DataKeyUse.Credentials).Select(k => k.Version).ToList();
        await service.Operations.RotateKeysAsync(new() { RequestId = Calls.NewRequestId(), InstitutionId = "demo", Kind = KeyKind.DataKey, Reason = "test" });
        service.Clock.Advance(TimeSpan.FromMinutes(2));
        await Eventually.IsTrueAsync(
            async () => await KeysAsync() is { ToRewrap: 0 } status && !status.DataKeys.Any(k => before.Contains(k.Version)), "the old data key is gone");

        await File.AppendAllTextAsync(own.Settings["OtpAuth:KekFile"], Convert.ToBase64String(new byte[32].Select((_, n) => (byte)n).ToArray()) + "\n");
        await service.Operations.RotateKeysAsync(new() { RequestId = Calls.NewRequestId(), InstitutionId = "demo", Kind = KeyKind.Kek, Reason = "test" });
        var after = await KeysAsync();
        Assert.That(after.DataKeys.Select(k => k.KekVersion), Is.All.EqualTo(after.NewestKek));

        async Task<GetKeyStatusResponse> KeysAsync() => await service.Operations.GetKeyStatusAsync(new() { InstitutionId = "demo" });
    }

    private static async Task SweepAsync(OtpService service, StoresUnderTest own)
    {
        // Chains that nobody has added to for an hour are closed.
        service.Clock.Advance(TimeSpan.FromHours(2));
        await Eventually.IsTrueAsync(() => IsTrueAsync(own, "SELECT bool_and(closed_by_head IS NOT NULL) FROM audit_chains"), "the chains are closed");
        await Eventually.IsTrueAsync(
            async () =>
            {
                service.Clock.Advance(TimeSpan.FromSeconds(31));
                return await IsTrueAsync(own, "SELECT count(*) = 0 FROM answers");
            },
            "stored answers are swept");
        service.Clock.Advance(TimeSpan.FromDays(31));
        await Eventually.IsTrueAsync(
            async () =>
            {
                service.Clock.Advance(TimeSpan.FromSeconds(31));
                return await IsTrueAsync(own, "SELECT count(*) = 0 FROM events");
            },
            "old events are swept");
    }

    [TestCase("UPDATE audit_trail SET reason = 'nothing happened'")]
    [TestCase("DELETE FROM audit_trail")]
    [TestCase("TRUNCATE audit_trail")]
    [TestCase("DO 'BEGIN LOCK TABLE audit_trail IN ACCESS EXCLUSIVE MODE; END'")]
    [TestCase("SELECT FROM audit_trail_other")]
    [TestCase("INSERT INTO audit_trail_other SELECT * FROM audit_trail")]
    [TestCase("UPDATE audit_trail_other SET reason = 'nothing happened'")]
    [TestCase("DELETE FROM audit_trail_other")]
    [TestCase("TRUNCATE audit_trail_other")]
    [TestCase("ALTER TABLE audit_trail DETACH PARTITION audit_trail_other")]
    [TestCase("UPDATE audit_heads SET content = ''")]
    [TestCase("DELETE FROM audit_heads")]
    [TestCase("TRUNCATE audit_heads")]
    [TestCase("UPDATE audit_chains SET beginning = ''")]
    [TestCase("UPDATE audit_chains SET retired_position = 1")]
    [TestCase("DELETE FROM audit_chains")]
    [TestCase("UPDATE policy_versions SET policy = ''")]
    [TestCase("DELETE FROM policy_versions")]
    [TestCase("DELETE FROM loss_reports")]
    [TestCase("UPDATE fences SET until = 0")]
    [TestCase("DELETE FROM fences")]
    [TestCase("INSERT INTO audit_records (decided_at) VALUES (0)")]
    [TestCase("UPDATE credentials SET last_time_step = last_time_step - 1", PostgresErrorCodes.RaiseException)]
    [TestCase("UPDATE credentials SET credential_id = 'SSSS00000000'")]
    [TestCase("DELETE FROM credentials")]
    [TestCase("TRUNCATE credentials CASCADE")]
    [TestCase("ALTER TABLE credentials DISABLE TRIGGER ALL")]
    [TestCase("ALTER TABLE credentials DISABLE TRIGGER credentials_last_time_step")]
    [TestCase("DROP TRIGGER credentials_last_time_step ON credentials")]
    [TestCase("CREATE TRIGGER mine BEFORE UPDATE ON credentials FOR EACH ROW EXECUTE FUNCTION refuse_lower_time_step()")]
    [TestCase("UPDATE events SET contractor_id = 'somebody-else'")]
    [TestCase("TRUNCATE events")]
    [TestCase("SELECT nextval('events_id_seq')")]
    [TestCase("DELETE FROM bindings")]
    [TestCase("UPDATE bindings SET contractor_id = 'somebody-else'")]
    [TestCase("DELETE FROM contractors")]
    [TestCase("DELETE FROM institutions")]
    [TestCase("UPDATE institutions SET id = 'other'")]
    [TestCase("UPDATE data_keys SET version = version + 1")]
    [TestCase("INSERT INTO \"__EFMigrationsHistory\" VALUES ('20990101000000_Mine', '1')")]
    [TestCase("SET session_replication_role = replica")]
    [TestCase("SET ROLE otp_migration")]
    [TestCase("CREATE TABLE mine (id int)")]
    [TestCase("CREATE TEMPORARY TABLE audit_trail (id int)")]
    [TestCase("CREATE SCHEMA mine")]
    [TestCase("CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'")]
    [TestCase("CREATE OR REPLACE FUNCTION refuse_lower_time_step() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'")]
    [TestCase("ALTER FUNCTION ensure_audit_partitions(bigint) RESET ALL")]
    [TestCase("DROP TABLE audit_trail")]
    [TestCase("DROP TABLE answers")]
    [TestCase("COPY (SELECT 1) TO PROGRAM 'true'")]
    [TestCase("COPY answers FROM PROGRAM 'true'")]
    [TestCase("COPY (SELECT 1) TO '/tmp/mine'")]
    [TestCase("SELECT audit_link('', '', '')")]
    public async Task OtpService_ForbiddenStatement_IsRefused(string sql, string state = Refused) =>
        Assert.That(await StateAsync("otp_service", sql), Is.EqualTo(state));

    [TestCase("SELECT * FROM credentials")]
    [TestCase("SELECT wrapped_key FROM credentials")]
    [TestCase("SELECT id FROM credentials WHERE wrapped_key > ''")]
    [TestCase("SELECT c FROM credentials AS c")]
    [TestCase("SELECT wrapped_key FROM data_keys")]
    [TestCase("SELECT fingerprint FROM answers")]
    [TestCase("SELECT FROM audit_trail_other")]
    [TestCase("SELECT ensure_audit_partitions(0)")]
    [TestCase("SELECT id FROM credentials FOR UPDATE")]
    [TestCase("CREATE TABLE mine (id int)")]
    [TestCase("CREATE TEMPORARY TABLE mine (id int)")]
    [TestCase("COPY (SELECT 1) TO PROGRAM 'true'")]
    [TestCase("SET ROLE otp_service")]
    public async Task OtpReading_ForbiddenStatement_IsRefused(string sql) => Assert.That(await StateAsync("otp_reading", sql), Is.EqualTo(Refused));

    [Test]
    public async Task OtpReading_AnyTable_ReadsAndDoesNotWrite()
    {
        foreach (var table in await RowsAsync(Tables))
        {
            var columns = await RowsAsync($"SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped");
            var open = columns.Where(c => c is not ("wrapped_key" or "fingerprint")).ToList();
            Assert.That(await StateAsync("otp_reading", $"SELECT {string.Join(", ", open)} FROM {table}"), Is.Null, table);
            string[] writes =
            [
                $"INSERT INTO {table} SELECT FROM {table}", $"UPDATE {table} SET {open[0]} = {open[0]}", $"DELETE FROM {table}", $"TRUNCATE {table} CASCADE", $"DROP TABLE {table}",
            ];
            foreach (var write in writes)
            {
                Assert.That(await StateAsync("otp_reading", write), Is.EqualTo(Refused), write);
            }
        }
    }

    /// <summary>A table or column that is added without a line in Grants.sql is here, and has to be decided on.</summary>
    [Test]
    public async Task Grants_OfEveryTableAndColumn_AreAsExpected()
    {
        Assert.That(await RowsAsync(RightsOf("otp_service")), Is.EqualTo(
        [
            "\"__EFMigrationsHistory\": SELECT",
            "answers: DELETE INSERT SELECT UPDATE",
            "audit_chains: INSERT SELECT; UPDATE closed_by_head closed_hash closed_position",
            "audit_heads: INSERT SELECT",
            "audit_records: nothing",
            "audit_trail: INSERT SELECT",
            "bindings: INSERT SELECT; UPDATE ended_at reregistration_until state",
            "contractors: INSERT SELECT; UPDATE bypass_hour bypasses_in_hour consecutive_failures locked_until never_bypassed temporary_otp_awaits_confirmation "
                + "temporary_otp_expires_at temporary_otp_issued_by temporary_otp_issued_by_operator temporary_otp_issued_under temporary_otp_salt temporary_otp_uses_left",
            "credentials: INSERT SELECT; UPDATE drift_days drift_steps epoch key_version last_time_step out_of_sync_step status wrapped_key",
            "data_keys: DELETE INSERT SELECT; UPDATE kek_version wrapped_key",
            "events: DELETE INSERT SELECT",
            "export_orders: INSERT SELECT; UPDATE confirmed_at confirmed_by confirmed_by_operator fetched_at",
            "failure_minutes: DELETE INSERT SELECT; UPDATE failures",
            "fences: INSERT SELECT",
            "institutions: INSERT SELECT; UPDATE audit_contractor_ids bypass_stopped_at channels_needing_otp contractor_may_unlock display_name foreign_loss_reports "
                + "hard_limit look_ahead_steps look_back_steps not_registered_login outcome_detail policy_version suspended_login temporary_limit temporary_lock "
                + "temporary_otp_needs_confirmation",
            "loss_reports: INSERT SELECT",
            "policy_versions: INSERT SELECT",
            "supplier_dates: INSERT SELECT",
        ]));
        Assert.That(await RowsAsync(
            $"""
             SELECT t.name || '.' || attname FROM ({Tables}) AS t (name) JOIN pg_attribute ON attrelid = t.name::regclass
             WHERE attnum > 0 AND NOT attisdropped AND NOT has_column_privilege('otp_reading', attrelid, attnum, 'SELECT') ORDER BY 1
             """), Is.EqualTo(["answers.fingerprint", "credentials.wrapped_key", "data_keys.wrapped_key"]));
    }

    [Test]
    public async Task Partitions_MadeNowOrLater_AreReachedThroughTheTableAlone()
    {
        var later = new DateTimeOffset(2031, 1, 15, 0, 0, 0, TimeSpan.Zero).ToUnixTimeMilliseconds();
        Assert.That(await StateAsync("otp_service", $"SELECT ensure_audit_partitions({later})"), Is.Null);

        Assert.That(await RowsAsync("SELECT relid::regclass::text FROM pg_partition_tree('audit_trail') ORDER BY 1"), Does.Contain("audit_trail_2031_03"));
        Assert.That(await RowsAsync(Direct("c.relispartition")), Is.Empty);
        Assert.That(await RowsAsync("SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname LIKE 'audit\\_trail%' GROUP BY 1"), Is.EqualTo(["otp_migration"]));
        Assert.That(await StateAsync("otp_service", "DELETE FROM audit_trail_2031_01"), Is.EqualTo(Refused));
    }

    [Test]
    public async Task Functions_OfTheSchema_AreOpenWhereTheyAreNeeded()
    {
        await PostgresServer.ExecuteAsync(As("otp_migration"), "CREATE FUNCTION made_later() RETURNS int LANGUAGE sql AS 'SELECT 1'");

        Assert.That(await RowsAsync(
            """
            SELECT p.oid::regprocedure || ': ' || r FROM pg_proc AS p, unnest(ARRAY['otp_service', 'otp_reading', 'public']) AS r
            WHERE pronamespace = 'public'::regnamespace AND has_function_privilege(r, p.oid, 'EXECUTE') ORDER BY 1
            """), Is.EqualTo(["audit_chain(bytea,bytea): otp_service", "ensure_audit_partitions(bigint): otp_service", "fence_in_force(): otp_service", "next_event_id(): otp_service"]));
        await PostgresServer.ExecuteAsync(Dba, "DROP FUNCTION made_later()");
        Assert.That(await RowsAsync("SELECT proconfig[1] FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace"), Is.EqualTo(["search_path=public, pg_temp", "search_path=public, pg_temp"]));
    }

    [Test]
    public async Task Public_OnEverything_HasNothing()
    {
        Assert.That(await RowsAsync(Direct("true", "x.grantee = 0")), Is.Empty);
        Assert.That(await RowsAsync(
            """
            SELECT x.privilege_type FROM pg_database, aclexplode(datacl) AS x WHERE datname = current_database() AND x.grantee = 0
            UNION ALL SELECT x.privilege_type FROM pg_namespace, aclexplode(nspacl) AS x WHERE nspname = 'public' AND x.grantee = 0
            """), Is.Empty);
    }

    [Test]
    public async Task Grants_AppliedAgain_TakeAwayWhatWasGivenByHandAndKeepTheRest()
    {
        var before = await RowsAsync(RightsOf("otp_service"));
        await PostgresServer.ExecuteAsync(
            Dba, "GRANT UPDATE ON audit_trail, audit_trail_other TO otp_service; GRANT UPDATE (reason) ON audit_trail TO otp_service; GRANT DELETE ON credentials TO PUBLIC");

        await MakeRolesAsync(stores);
        await MigrateAsync(stores);

        Assert.That(await RowsAsync(RightsOf("otp_service")), Is.EqualTo(before));
        Assert.That(await RowsAsync(Direct("c.relispartition")), Is.Empty);
        Assert.That(await RowsAsync(Direct("true", "x.grantee = 0")), Is.Empty);
    }

    /// <summary>Roles are made after the first migration: by a bank that has run the service as one role until now.</summary>
    [Test]
    public async Task Roles_MadeAfterTheTables_HaveTheirRightsFromTheNextStart()
    {
        using var own = await NewStoresAsync();
        await PostgresServer.ExecuteAsync(own.PostgresConnectionString!, "CREATE ROLE otp LOGIN; GRANT CREATE ON SCHEMA public TO otp");
        await MigrateAsync(own, "otp");
        await MakeRolesAsync(own);
        await PostgresServer.ExecuteAsync(own.PostgresConnectionString!, "REASSIGN OWNED BY otp TO otp_migration");
        await MigrateAsync(own);

        await using var service = await ServeAsync(own);
        await service.RegisteredAsync();
    }

    /// <summary>An older version that is started on a newer schema would know nothing of the newer one's tables.</summary>
    [Test]
    public async Task Grants_OfANewerSchema_AreLeftAsTheyAre()
    {
        using var own = await NewStoresAsync();
        await MakeRolesAsync(own);
        await MigrateAsync(own);
        await PostgresServer.ExecuteAsync(
            As("otp_migration", own),
            """
            INSERT INTO "__EFMigrationsHistory" VALUES ('20990101000000_Newer', '10.0');
            CREATE TABLE newer (id int);
            GRANT SELECT ON newer TO otp_service;
            """);

        await MigrateAsync(own);

        Assert.That(await RowsAsync("SELECT has_table_privilege('otp_service', 'newer', 'SELECT')::text", own), Is.EqualTo(["true"]));
    }

    [TestCase("otp_service", false)]
    [TestCase("otp_migration", true)]
    [TestCase("postgres", true)]
    [TestCase("may_become_owner", true)]
    [TestCase("may_delete_a_partition", true)]
    public async Task Start_InProduction_WarnsWhereAuditRecordsCanBeRewritten(string role, bool warned)
    {
        using var own = await NewStoresAsync();
        await MakeRolesAsync(own);
        await MigrateAsync(own);
        await PostgresServer.ExecuteAsync(
            own.PostgresConnectionString!,
            role switch
            {
                "may_become_owner" => "CREATE ROLE may_become_owner LOGIN NOINHERIT IN ROLE otp_migration, otp_service; ALTER ROLE may_become_owner SET ROLE = otp_service; "
                    + $"GRANT CONNECT ON DATABASE {new NpgsqlConnectionStringBuilder(own.PostgresConnectionString!).Database} TO may_become_owner",
                "may_delete_a_partition" => "CREATE ROLE may_delete_a_partition LOGIN IN ROLE otp_service; GRANT DELETE ON audit_trail_other TO may_delete_a_partition",
                _ => "SELECT",
            });
        using var callers = new CallersUnderTest(CallerRow.Frontend("frontend", "demo"));
        using var log = new ErrorLog();

        await PrepareAsync(
            log,
            [
                .. OtpService.CommonSettings(own), .. callers.Settings, .. Connect(own, role), "--environment=Production",
                "--Kestrel:Endpoints:Grpc:Url=https://127.0.0.1:0", "--OtpAuth:LocalCaller:Enabled=false",
            ]);

        Assert.That(log.All.Split("deploy/make-roles.sql"), Has.Length.EqualTo(warned ? 2 : 1));
    }

    [Test]
    public async Task Start_AsARoleWithoutRights_IsRefusedWithTheReason()
    {
        await PostgresServer.ExecuteAsync(Dba, "CREATE ROLE stranger LOGIN; GRANT CONNECT ON DATABASE postgres TO stranger; GRANT otp_reading TO stranger");
        using var log = new ErrorLog();

        var refused = await Assert.CatchAsync(() => PrepareAsync(log, [.. OtpService.CommonSettings(stores), .. Connect(stores, "stranger")]));

        Assert.That(refused, Is.InstanceOf<StartRefusedException>());
        Assert.That(refused!.Message, Does.Contain("permission denied for table").And.Contain("deploy/make-roles.sql"));
    }

    [Test]
    public async Task MakeRoles_WithARoleThatMayDoEverything_IsRefused()
    {
        using var own = await NewStoresAsync();
        await PostgresServer.ExecuteAsync(Dba, "GRANT otp_migration TO otp_service");
        try
        {
            var refused = await Assert.CatchAsync(() => MakeRolesAsync(own));
            Assert.That(refused!.Message, Does.Contain("otp_service is a member of otp_migration"));
        }
        finally
        {
            await PostgresServer.ExecuteAsync(Dba, "REVOKE otp_migration FROM otp_service");
        }
    }

    /// <summary>Tables without partitions, as SQL names them.</summary>
    private const string Tables =
        "SELECT c.oid::regclass::text FROM pg_class AS c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1";

    /// <summary>Table, what may be done with all of it, and what with single columns.</summary>
    private static string RightsOf(string role) =>
        $"""
         SELECT t.name || ': ' || coalesce(nullif(concat_ws('; ',
             (SELECT string_agg(x.privilege_type, ' ' ORDER BY x.privilege_type) FROM pg_class AS c, aclexplode(c.relacl) AS x
                 WHERE c.oid = t.name::regclass AND x.grantee = '{role}'::regrole),
             (SELECT string_agg(p.columns, '; ' ORDER BY p.columns) FROM (
                 SELECT x.privilege_type || ' ' || string_agg(a.attname, ' ' ORDER BY a.attname COLLATE "C") AS columns FROM pg_attribute AS a, aclexplode(a.attacl) AS x
                 WHERE a.attrelid = t.name::regclass AND x.grantee = '{role}'::regrole GROUP BY x.privilege_type) AS p)), ''), 'nothing')
         FROM ({Tables}) AS t (name) ORDER BY t.name COLLATE "C"
         """;

    /// <summary>Rights that somebody else than the owner has on relations themselves.</summary>
    private static string Direct(string which, string who = "x.grantee <> c.relowner") =>
        $"""
         SELECT c.relname || ': ' || x.privilege_type FROM pg_class AS c, aclexplode(c.relacl) AS x
         WHERE c.relnamespace = 'public'::regnamespace AND {which} AND {who}
         """;

    private Task<StoresUnderTest> NewStoresAsync() => StoresUnderTest.CreateAsync(StoreKind.Postgres, postgres, migrated: false);

    private static Task<string> MakeRolesAsync(StoresUnderTest stores) =>
        PostgresServer.RunFileAsync(stores.PostgresConnectionString!, RepositoryFolder.Of("deploy/make-roles.sql"));

    /// <summary>A start that migrates, and no more.</summary>
    private static async Task MigrateAsync(StoresUnderTest stores, string role = "otp_migration")
    {
        using var log = new ErrorLog();
        await PrepareAsync(log, [.. OtpService.CommonSettings(stores), $"--ConnectionStrings:Postgres={As(role, stores)}"]);
    }

    private Task<OtpService> ServeAsync() => ServeAsync(stores);

    private static Task<OtpService> ServeAsync(StoresUnderTest stores, params string[] settings) =>
        OtpService.StartAsync(stores, settings: [.. Connect(stores, "otp_service"), .. settings]);

    private static string[] Connect(StoresUnderTest stores, string role) =>
        [$"--ConnectionStrings:Postgres={As(role, stores)}", "--OtpAuth:MigrateOnStart=false"];

    private static async Task PrepareAsync(ErrorLog log, string[] settings)
    {
        await using var app = Server.Build(settings, builder => builder.Logging.ClearProviders().AddProvider(log));
        await Server.PrepareAsync(app, TextWriter.Null);
    }

    private string As(string role) => As(role, stores);

    private static string As(string role, StoresUnderTest stores) => PostgresServer.As(stores.PostgresConnectionString!, role);

    /// <returns>The error's SQLSTATE; null where it went through.</returns>
    private async Task<string?> StateAsync(string role, string sql)
    {
        try
        {
            await PostgresServer.ExecuteAsync(As(role), sql);
            return null;
        }
        catch (PostgresException refused)
        {
            return refused.SqlState;
        }
    }

    private Task<List<string>> RowsAsync(string sql) => RowsAsync(sql, stores);

    private static async Task<List<string>> RowsAsync(string sql, StoresUnderTest stores)
    {
        await using var source = NpgsqlDataSource.Create(stores.PostgresConnectionString!);
        await using var command = source.CreateCommand(sql);
        await using var rows = await command.ExecuteReaderAsync();
        var found = new List<string>();
        while (await rows.ReadAsync())
        {
            found.Add(rows.GetString(0));
        }

        return found;
    }

    private static async Task<bool> IsTrueAsync(StoresUnderTest stores, string sql) =>
        await PostgresServer.ReadAsync(stores.PostgresConnectionString!, $"SELECT ({sql})::text") == "true";
}
