using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace OtpAuthService.Storage.Migrations.Sqlite
{
    /// <inheritdoc />
    public partial class LossReports : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.CreateTable(
                name: "loss_reports",
                columns: table => new
                {
                    credential_ref = table.Column<long>(type: "INTEGER", nullable: false),
                    institution_id = table.Column<string>(type: "TEXT", maxLength: 32, nullable: false),
                    kind = table.Column<short>(type: "INTEGER", nullable: false),
                    reported_at = table.Column<long>(type: "INTEGER", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("pk_loss_reports", x => new { x.credential_ref, x.institution_id });
                });

            // A claim names the status that it was begun under, and a reading of another status is out of date.
            migrationBuilder.Sql(
                """
                DROP TRIGGER credentials_epoch;
                CREATE TRIGGER credentials_epoch AFTER UPDATE OF drift_steps, status ON credentials WHEN NEW.drift_steps <> OLD.drift_steps OR NEW.status <> OLD.status
                BEGIN
                    UPDATE credentials SET epoch = epoch + 1 WHERE id = NEW.id;
                END;
                """);
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.Sql(
                """
                DROP TRIGGER credentials_epoch;
                CREATE TRIGGER credentials_epoch AFTER UPDATE OF drift_steps ON credentials WHEN NEW.drift_steps <> OLD.drift_steps
                BEGIN
                    UPDATE credentials SET epoch = epoch + 1 WHERE id = NEW.id;
                END;
                """);

            migrationBuilder.DropTable(
                name: "loss_reports");
        }
    }
}
