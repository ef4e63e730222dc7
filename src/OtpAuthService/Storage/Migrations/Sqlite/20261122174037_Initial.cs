using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace OtpAuthService.Storage.Migrations.Sqlite
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
                    caller_id = table.Column<string>(type: "TEXT", maxLength: 128, nullable: false),
                    request_id = table.Column<string>(type: "TEXT", maxLength: 64, nullable: false),
                    fingerprint = table.Column<byte[]>(type: "BLOB", nullable: false),
                    outcome = table.Column<short>(type: "INTEGER", nullable: false),
                    decision = table.Column<short>(type: "INTEGER", nullable: false),
                    retry_after = table.Column<long>(type: "INTEGER", nullable: true),
                    attempts_left = table.Column<int>(type: "INTEGER", nullable: true),
                    credential_ref = table.Column<long>(type: "INTEGER", nullable: true),
                    imported = table.Column<int>(type: "INTEGER", nullable: true),
                    decided_at = table.Column<long>(type: "INTEGER", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("pk_answers", x => new { x.caller_id, x.request_id });
                });

            migrationBuilder.CreateTable(
                name: "audit_records",
                columns: table => new
                {
                    id = table.Column<long>(type: "INTEGER", nullable: false)
                        .Annotation("Sqlite:Autoincrement", true),
                    decided_at = table.Column<long>(type: "INTEGER", nullable: false),
                    rpc = table.Column<string>(type: "TEXT", maxLength: 32, nullable: false),
                    institution_id = table.Column<string>(type: "TEXT", maxLength: 32, nullable: false),
                    caller_id = table.Column<string>(type: "TEXT", maxLength: 128, nullable: false),
                    request_id = table.Column<string>(type: "TEXT", maxLength: 64, nullable: false),
                    contractor_id = table.Column<string>(type: "TEXT", maxLength: 64, nullable: true),
                    channel = table.Column<short>(type: "INTEGER", nullable: false),
                    purpose = table.Column<short>(type: "INTEGER", nullable: false),
                    credential_ref = table.Column<long>(type: "INTEGER", nullable: true),
                    time_step = table.Column<long>(type: "INTEGER", nullable: true),
                    outcome = table.Column<short>(type: "INTEGER", nullable: false),
                    decision = table.Column<short>(type: "INTEGER", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("pk_audit_records", x => x.id);
                });

            migrationBuilder.CreateTable(
                name: "contractors",
                columns: table => new
                {
                    institution_id = table.Column<string>(type: "TEXT", maxLength: 32, nullable: false),
                    contractor_id = table.Column<string>(type: "TEXT", maxLength: 64, nullable: false),
                    consecutive_failures = table.Column<int>(type: "INTEGER", nullable: false),
                    locked_until = table.Column<long>(type: "INTEGER", nullable: true),
                    revision = table.Column<long>(type: "INTEGER", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("pk_contractors", x => new { x.institution_id, x.contractor_id });
                });

            migrationBuilder.CreateTable(
                name: "credentials",
                columns: table => new
                {
                    id = table.Column<long>(type: "INTEGER", nullable: false)
                        .Annotation("Sqlite:Autoincrement", true),
                    credential_id = table.Column<string>(type: "TEXT", maxLength: 40, nullable: false),
                    wrapped_key = table.Column<byte[]>(type: "BLOB", nullable: false),
                    key_version = table.Column<int>(type: "INTEGER", nullable: false),
                    algorithm = table.Column<short>(type: "INTEGER", nullable: false),
                    digits = table.Column<int>(type: "INTEGER", nullable: false),
                    period_seconds = table.Column<int>(type: "INTEGER", nullable: false),
                    drift_steps = table.Column<int>(type: "INTEGER", nullable: false),
                    last_time_step = table.Column<long>(type: "INTEGER", nullable: false),
                    epoch = table.Column<long>(type: "INTEGER", nullable: false),
                    status = table.Column<short>(type: "INTEGER", nullable: false),
                    supplier = table.Column<string>(type: "TEXT", maxLength: 64, nullable: false),
                    valid_from = table.Column<long>(type: "INTEGER", nullable: true),
                    valid_until = table.Column<long>(type: "INTEGER", nullable: true),
                    created_at = table.Column<long>(type: "INTEGER", nullable: false)
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
                    id = table.Column<string>(type: "TEXT", maxLength: 32, nullable: false),
                    display_name = table.Column<string>(type: "TEXT", maxLength: 64, nullable: false),
                    look_back_steps = table.Column<int>(type: "INTEGER", nullable: false),
                    look_ahead_steps = table.Column<int>(type: "INTEGER", nullable: false),
                    not_registered_login = table.Column<short>(type: "INTEGER", nullable: false),
                    suspended_login = table.Column<short>(type: "INTEGER", nullable: false),
                    policy_version = table.Column<int>(type: "INTEGER", nullable: false),
                    created_at = table.Column<long>(type: "INTEGER", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("pk_institutions", x => x.id);
                });

            migrationBuilder.CreateTable(
                name: "bindings",
                columns: table => new
                {
                    id = table.Column<long>(type: "INTEGER", nullable: false)
                        .Annotation("Sqlite:Autoincrement", true),
                    institution_id = table.Column<string>(type: "TEXT", maxLength: 32, nullable: false),
                    contractor_id = table.Column<string>(type: "TEXT", maxLength: 64, nullable: false),
                    credential_ref = table.Column<long>(type: "INTEGER", nullable: false),
                    state = table.Column<short>(type: "INTEGER", nullable: false),
                    registered_at = table.Column<long>(type: "INTEGER", nullable: false),
                    ended_at = table.Column<long>(type: "INTEGER", nullable: true)
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
                CREATE TRIGGER credentials_last_time_step BEFORE UPDATE OF last_time_step ON credentials
                    WHEN NEW.last_time_step < OLD.last_time_step
                BEGIN
                    SELECT RAISE(ABORT, 'last_time_step of a credential is never lowered');
                END;
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
        }
    }
}
