using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace OtpAuthService.Storage.Migrations.Sqlite
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
                type: "INTEGER",
                nullable: true);

            migrationBuilder.AddColumn<long>(
                name: "bypass_hour",
                table: "contractors",
                type: "INTEGER",
                nullable: true);

            migrationBuilder.AddColumn<int>(
                name: "bypasses_in_hour",
                table: "contractors",
                type: "INTEGER",
                nullable: false,
                defaultValue: 0);

            migrationBuilder.AddColumn<bool>(
                name: "never_bypassed",
                table: "contractors",
                type: "INTEGER",
                nullable: false,
                defaultValue: false);

            migrationBuilder.AddColumn<string>(
                name: "reason",
                table: "audit_records",
                type: "TEXT",
                maxLength: 200,
                nullable: true);

            migrationBuilder.CreateTable(
                name: "failure_minutes",
                columns: table => new
                {
                    caller_id = table.Column<string>(type: "TEXT", maxLength: 128, nullable: false),
                    institution_id = table.Column<string>(type: "TEXT", maxLength: 32, nullable: false),
                    minute = table.Column<long>(type: "INTEGER", nullable: false),
                    failures = table.Column<int>(type: "INTEGER", nullable: false)
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
