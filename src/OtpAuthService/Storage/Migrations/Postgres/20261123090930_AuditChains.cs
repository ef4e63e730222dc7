using Microsoft.EntityFrameworkCore.Migrations;
using Npgsql.EntityFrameworkCore.PostgreSQL.Metadata;

#nullable disable

namespace OtpAuthService.Storage.Migrations.Postgres
{
    /// <inheritdoc />
    public partial class AuditChains : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.AddColumn<short>(
                name: "audit_contractor_ids",
                table: "institutions",
                type: "smallint",
                nullable: false,
                defaultValue: (short)1);

            // By months of decided_at (Unix milliseconds, UTC), which are made ahead and dropped as a whole. What falls into none of them is kept all the same.
            // audit_records stays as it is: replicas of the version before go on writing to it. A later release drops it.
            migrationBuilder.Sql(
                """
                CREATE TABLE audit_trail (
                    chain_id integer NOT NULL,
                    position bigint NOT NULL,
                    hash bytea NOT NULL,
                    decided_at bigint NOT NULL,
                    rpc varchar(32) COLLATE "C" NOT NULL,
                    institution_id varchar(32) COLLATE "C" NOT NULL,
                    caller_id varchar(128) COLLATE "C" NOT NULL,
                    operator_id varchar(64) COLLATE "C",
                    request_id varchar(64) COLLATE "C" NOT NULL,
                    contractor_id varchar(64) COLLATE "C",
                    channel smallint NOT NULL,
                    purpose smallint NOT NULL,
                    credential_ref bigint,
                    time_step bigint,
                    outcome smallint NOT NULL,
                    decision smallint NOT NULL,
                    reason varchar(200) COLLATE "C",
                    policy_version integer,
                    CONSTRAINT pk_audit_trail PRIMARY KEY (chain_id, position, decided_at)
                ) PARTITION BY RANGE (decided_at);

                CREATE INDEX ix_audit_trail_decided_at ON audit_trail USING brin (decided_at);
                CREATE TABLE audit_trail_other PARTITION OF audit_trail DEFAULT;

                -- This month and the next two. False where one cannot be, for the common partition holds records of it already.
                -- With the rights of its owner: the service may not create tables.
                CREATE FUNCTION ensure_audit_partitions(now_ms bigint) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
                DECLARE
                    month timestamp;
                    name text;
                BEGIN
                    FOR ahead IN 0..2 LOOP
                        month := date_trunc('month', to_timestamp(now_ms / 1000) AT TIME ZONE 'UTC') + make_interval(months => ahead);
                        name := 'audit_trail_' || to_char(month, 'YYYY_MM');
                        IF to_regclass(name) IS NULL THEN
                            EXECUTE format('CREATE TABLE %I PARTITION OF audit_trail FOR VALUES FROM (%s) TO (%s)', name,
                                extract(epoch FROM month)::bigint * 1000, extract(epoch FROM month + interval '1 month')::bigint * 1000);
                        END IF;
                    END LOOP;
                    RETURN true;
                EXCEPTION WHEN check_violation THEN
                    RETURN false;
                END $$;
                SELECT ensure_audit_partitions((extract(epoch FROM now()) * 1000)::bigint);

                -- The hashes of a chain, one record after the other: SHA-256 over the hash before and the record's digest.
                CREATE FUNCTION audit_link(state bytea, before bytea, digest bytea) RETURNS bytea LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
                BEGIN
                    RETURN sha256(coalesce(state, before) || digest);
                END $$;
                CREATE AGGREGATE audit_chain(bytea, bytea) (SFUNC = audit_link, STYPE = bytea);
                """);

            migrationBuilder.CreateTable(
                name: "audit_chains",
                columns: table => new
                {
                    id = table.Column<int>(type: "integer", nullable: false)
                        .Annotation("Npgsql:ValueGenerationStrategy", NpgsqlValueGenerationStrategy.IdentityByDefaultColumn),
                    beginning = table.Column<byte[]>(type: "bytea", nullable: false),
                    opened_at = table.Column<long>(type: "bigint", nullable: false),
                    closed_by_head = table.Column<long>(type: "bigint", nullable: true),
                    closed_position = table.Column<long>(type: "bigint", nullable: true),
                    closed_hash = table.Column<byte[]>(type: "bytea", nullable: true),
                    retired_position = table.Column<long>(type: "bigint", nullable: false),
                    retired_hash = table.Column<byte[]>(type: "bytea", nullable: true)
                },
                constraints: table =>
                {
                    table.PrimaryKey("pk_audit_chains", x => x.id);
                });

            migrationBuilder.CreateTable(
                name: "audit_heads",
                columns: table => new
                {
                    number = table.Column<long>(type: "bigint", nullable: false),
                    signed_at = table.Column<long>(type: "bigint", nullable: false),
                    content = table.Column<string>(type: "text", nullable: false, collation: "C"),
                    hash = table.Column<byte[]>(type: "bytea", nullable: false),
                    signature = table.Column<byte[]>(type: "bytea", nullable: false),
                    public_key = table.Column<byte[]>(type: "bytea", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("pk_audit_heads", x => x.number);
                });
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropTable(
                name: "audit_chains");

            migrationBuilder.DropTable(
                name: "audit_heads");

            migrationBuilder.DropTable(
                name: "audit_trail");

            migrationBuilder.DropColumn(
                name: "audit_contractor_ids",
                table: "institutions");

            migrationBuilder.Sql(
                "DROP AGGREGATE audit_chain(bytea, bytea); DROP FUNCTION audit_link(bytea, bytea, bytea); DROP FUNCTION ensure_audit_partitions(bigint);");
        }
    }
}
