using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace OtpAuthService.Storage.Migrations.Postgres
{
    /// <inheritdoc />
    public partial class InstitutionPolicies : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.AddColumn<short>(
                name: "channels_needing_otp",
                table: "institutions",
                type: "smallint",
                nullable: false,
                defaultValue: (short)3);

            migrationBuilder.AddColumn<short>(
                name: "foreign_loss_reports",
                table: "institutions",
                type: "smallint",
                nullable: false,
                defaultValue: (short)1);

            migrationBuilder.AddColumn<int>(
                name: "hard_limit",
                table: "institutions",
                type: "integer",
                nullable: false,
                defaultValue: 10);

            migrationBuilder.AddColumn<short>(
                name: "outcome_detail",
                table: "institutions",
                type: "smallint",
                nullable: false,
                defaultValue: (short)1);

            migrationBuilder.AddColumn<int>(
                name: "temporary_limit",
                table: "institutions",
                type: "integer",
                nullable: false,
                defaultValue: 5);

            migrationBuilder.AddColumn<long>(
                name: "temporary_lock",
                table: "institutions",
                type: "bigint",
                nullable: false,
                defaultValue: 1800000L);

            migrationBuilder.CreateTable(
                name: "policy_versions",
                columns: table => new
                {
                    institution_id = table.Column<string>(type: "character varying(32)", maxLength: 32, nullable: false, collation: "C"),
                    version = table.Column<int>(type: "integer", nullable: false),
                    display_name = table.Column<string>(type: "character varying(64)", maxLength: 64, nullable: false, collation: "C"),
                    policy = table.Column<string>(type: "text", nullable: false, collation: "C"),
                    caller_id = table.Column<string>(type: "character varying(128)", maxLength: 128, nullable: false, collation: "C"),
                    reason = table.Column<string>(type: "character varying(200)", maxLength: 200, nullable: false, collation: "C"),
                    set_at = table.Column<long>(type: "bigint", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("pk_policy_versions", x => new { x.institution_id, x.version });
                });
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropTable(
                name: "policy_versions");

            migrationBuilder.DropColumn(
                name: "channels_needing_otp",
                table: "institutions");

            migrationBuilder.DropColumn(
                name: "foreign_loss_reports",
                table: "institutions");

            migrationBuilder.DropColumn(
                name: "hard_limit",
                table: "institutions");

            migrationBuilder.DropColumn(
                name: "outcome_detail",
                table: "institutions");

            migrationBuilder.DropColumn(
                name: "temporary_limit",
                table: "institutions");

            migrationBuilder.DropColumn(
                name: "temporary_lock",
                table: "institutions");
        }
    }
}
