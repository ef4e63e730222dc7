using Microsoft.EntityFrameworkCore.Migrations;
using Npgsql.EntityFrameworkCore.PostgreSQL.Metadata;

#nullable disable

namespace OtpAuthService.Storage.Migrations.Postgres
{
    /// <inheritdoc />
    public partial class Initial : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.CreateTable(
                name: "answers",
                columns: table => new
                {
                    caller_id = table.Column<string>(type: "character varying(128)", maxLength: 128, nullable: false),
                    request_id = table.Column<string>(type: "character varying(64)", maxLength: 64, nullable: false),
                    fingerprint = table.Column<byte[]>(type: "bytea", nullable: false),
                    outcome = table.Column<short>(type: "smallint", nullable: false),
                    decision = table.Column<short>(type: "smallint", nullable: false),
                    retry_after = table.Column<long>(type: "bigint", nullable: true),
                    attempts_left = table.Column<int>(type: "integer", nullable: true),
                    credential_ref = table.Column<long>(type: "bigint", nullable: true),
                    imported = table.Column<int>(type: "integer", nullable: true),
                    decided_at = table.Column<long>(type: "bigint", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("pk_answers", x => new { x.caller_id, x.request_id });
                });

            migrationBuilder.CreateTable(
                name: "audit_records",
                columns: table => new
                {
                    id = table.Column<long>(type: "bigint", nullable: false)
                        .Annotation("Npgsql:ValueGenerationStrategy", NpgsqlValueGenerationStrategy.IdentityByDefaultColumn),
                    decided_at = table.Column<long>(type: "bigint", nullable: false),
                    rpc = table.Column<string>(type: "character varying(32)", maxLength: 32, nullable: false),
                    institution_id = table.Column<string>(type: "character varying(32)", maxLength: 32, nullable: false),
                    caller_id = table.Column<string>(type: "character varying(128)", maxLength: 128, nullable: false),
                    request_id = table.Column<string>(type: "character varying(64)", maxLength: 64, nullable: false),
                    contractor_id = table.Column<string>(type: "character varying(64)", maxLength: 64, nullable: true),
                    channel = table.Column<short>(type: "smallint", nullable: false),
                    purpose = table.Column<short>(type: "smallint", nullable: false),
                    credential_ref = table.Column<long>(type: "bigint", nullable: true),
                    time_step = table.Column<long>(type: "bigint", nullable: true),
                    outcome = table.Column<short>(type: "smallint", nullable: false),
                    decision = table.Column<short>(type: "smallint", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("pk_audit_records", x => x.id);
                });

            migrationBuilder.CreateTable(
                name: "contractors",
                columns: table => new
                {
                    institution_id = table.Column<string>(type: "character varying(32)", maxLength: 32, nullable: false),
                    contractor_id = table.Column<string>(type: "character varying(64)", maxLength: 64, nullable: false),
                    consecutive_failures = table.Column<int>(type: "integer", nullable: false),
                    locked_until = table.Column<long>(type: "bigint", nullable: true),
                    revision = table.Column<long>(type: "bigint", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("pk_contractors", x => new { x.institution_id, x.contractor_id });
                });

            migrationBuilder.CreateTable(
                name: "credentials",
                columns: table => new
                {
                    id = table.Column<long>(type: "bigint", nullable: false)
                        .Annotation("Npgsql:ValueGenerationStrategy", NpgsqlValueGenerationStrategy.IdentityByDefaultColumn),
                    credential_id = table.Column<string>(type: "character varying(40)", maxLength: 40, nullable: false),
                    wrapped_key = table.Column<byte[]>(type: "bytea", nullable: false),
                    key_version = table.Column<int>(type: "integer", nullable: false),
                    algorithm = table.Column<short>(type: "smallint", nullable: false),
                    digits = table.Column<int>(type: "integer", nullable: false),
                    period_seconds = table.Column<int>(type: "integer", nullable: false),
                    drift_steps = table.Column<int>(type: "integer", nullable: false),
                    last_time_step = table.Column<long>(type: "bigint", nullable: false),
                    epoch = table.Column<long>(type: "bigint", nullable: false),
                    status = table.Column<short>(type: "smallint", nullable: false),
                    supplier = table.Column<string>(type: "character varying(64)", maxLength: 64, nullable: false),
                    valid_from = table.Column<long>(type: "bigint", nullable: true),
                    valid_until = table.Column<long>(type: "bigint", nullable: true),
                    created_at = table.Column<long>(type: "bigint", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("pk_credentials", x => x.id);
                    table.CheckConstraint("ck_credentials_digits", "digits IN (6, 8)");
                    table.CheckConstraint("ck_credentials_period", "period_seconds > 0");
                });

            migrationBuilder.CreateTable(
                name: "institutions",
                columns: table => new
                {
                    id = table.Column<string>(type: "character varying(32)", maxLength: 32, nullable: false),
                    display_name = table.Column<string>(type: "character varying(64)", maxLength: 64, nullable: false),
                    look_back_steps = table.Column<int>(type: "integer", nullable: false),
                    look_ahead_steps = table.Column<int>(type: "integer", nullable: false),
                    not_registered_login = table.Column<short>(type: "smallint", nullable: false),
                    suspended_login = table.Column<short>(type: "smallint", nullable: false),
                    policy_version = table.Column<int>(type: "integer", nullable: false),
                    created_at = table.Column<long>(type: "bigint", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("pk_institutions", x => x.id);
                });

            migrationBuilder.CreateTable(
                name: "bindings",
                columns: table => new
                {
                    id = table.Column<long>(type: "bigint", nullable: false)
                        .Annotation("Npgsql:ValueGenerationStrategy", NpgsqlValueGenerationStrategy.IdentityByDefaultColumn),
                    institution_id = table.Column<string>(type: "character varying(32)", maxLength: 32, nullable: false),
                    contractor_id = table.Column<string>(type: "character varying(64)", maxLength: 64, nullable: false),
                    credential_ref = table.Column<long>(type: "bigint", nullable: false),
                    state = table.Column<short>(type: "smallint", nullable: false),
                    registered_at = table.Column<long>(type: "bigint", nullable: false),
                    ended_at = table.Column<long>(type: "bigint", nullable: true)
                },
                constraints: table =>
                {
                    table.PrimaryKey("pk_bindings", x => x.id);
                    table.ForeignKey(
                        name: "fk_bindings_credentials_credential_ref",
                        column: x => x.credential_ref,
                        principalTable: "credentials",
                        principalColumn: "id",
                        onDelete: ReferentialAction.Restrict);
                    table.ForeignKey(
                        name: "fk_bindings_institutions_institution_id",
                        column: x => x.institution_id,
                        principalTable: "institutions",
                        principalColumn: "id",
                        onDelete: ReferentialAction.Restrict);
                });

            migrationBuilder.CreateIndex(
                name: "ix_answers_decided_at",
                table: "answers",
                column: "decided_at");

            migrationBuilder.CreateIndex(
                name: "ix_audit_records_institution_id_contractor_id_id",
                table: "audit_records",
                columns: new[] { "institution_id", "contractor_id", "id" });

            migrationBuilder.CreateIndex(
                name: "ix_bindings_credential_ref",
                table: "bindings",
                column: "credential_ref");

            migrationBuilder.CreateIndex(
                name: "ix_bindings_history",
                table: "bindings",
                columns: new[] { "institution_id", "contractor_id", "id" });

            migrationBuilder.CreateIndex(
                name: "ux_bindings_one_active_per_contractor",
                table: "bindings",
                columns: new[] { "institution_id", "contractor_id" },
                unique: true,
                filter: "state = 1");

            migrationBuilder.CreateIndex(
                name: "ux_bindings_one_contractor_per_credential",
                table: "bindings",
                columns: new[] { "institution_id", "credential_ref" },
                unique: true,
                filter: "state = 1");

            migrationBuilder.CreateIndex(
                name: "ix_credentials_credential_id",
                table: "credentials",
                column: "credential_id",
                unique: true);

            // Promise P1: whatever writes to the table, a used time step stays used.
            migrationBuilder.Sql(
                """
                CREATE FUNCTION refuse_lower_time_step() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    RAISE EXCEPTION 'last_time_step of a credential is never lowered (% to %)', OLD.last_time_step, NEW.last_time_step;
                END $$;

                CREATE TRIGGER credentials_last_time_step BEFORE UPDATE OF last_time_step ON credentials
                    FOR EACH ROW WHEN (NEW.last_time_step < OLD.last_time_step) EXECUTE FUNCTION refuse_lower_time_step();
                """);
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropTable(
                name: "answers");

            migrationBuilder.DropTable(
                name: "audit_records");

            migrationBuilder.DropTable(
                name: "bindings");

            migrationBuilder.DropTable(
                name: "contractors");

            migrationBuilder.DropTable(
                name: "credentials");

            migrationBuilder.DropTable(
                name: "institutions");

            migrationBuilder.Sql("DROP FUNCTION refuse_lower_time_step();");
        }
    }
}
