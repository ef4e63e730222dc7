using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace OtpAuthService.Storage.Migrations.Postgres
{
    /// <inheritdoc />
    public partial class CallersAndBypass : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.AddColumn<long>(
                name: "bypass_stopped_at",
                table: "institutions",
                type: "bigint",
                nullable: true);

            migrationBuilder.AddColumn<long>(
                name: "bypass_hour",
                table: "contractors",
                type: "bigint",
                nullable: true);

            migrationBuilder.AddColumn<int>(
                name: "bypasses_in_hour",
                table: "contractors",
                type: "integer",
                nullable: false,
                defaultValue: 0);

            migrationBuilder.AddColumn<bool>(
                name: "never_bypassed",
                table: "contractors",
                type: "boolean",
                nullable: false,
                defaultValue: false);

            migrationBuilder.AddColumn<string>(
                name: "reason",
                table: "audit_records",
                type: "character varying(200)",
                maxLength: 200,
                nullable: true,
                collation: "C");

            migrationBuilder.CreateTable(
                name: "failure_minutes",
                columns: table => new
                {
                    caller_id = table.Column<string>(type: "character varying(128)", maxLength: 128, nullable: false, collation: "C"),
                    institution_id = table.Column<string>(type: "character varying(32)", maxLength: 32, nullable: false, collation: "C"),
                    minute = table.Column<long>(type: "bigint", nullable: false),
                    failures = table.Column<int>(type: "integer", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("pk_failure_minutes", x => new { x.caller_id, x.institution_id, x.minute });
                });
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropTable(
                name: "failure_minutes");

            migrationBuilder.DropColumn(
                name: "bypass_stopped_at",
                table: "institutions");

            migrationBuilder.DropColumn(
                name: "bypass_hour",
                table: "contractors");

            migrationBuilder.DropColumn(
                name: "bypasses_in_hour",
                table: "contractors");

            migrationBuilder.DropColumn(
                name: "never_bypassed",
                table: "contractors");

            migrationBuilder.DropColumn(
                name: "reason",
                table: "audit_records");
        }
    }
}
