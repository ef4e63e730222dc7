using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace OtpAuthService.Storage.Migrations.Postgres
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
                    credential_ref = table.Column<long>(type: "bigint", nullable: false),
                    institution_id = table.Column<string>(type: "character varying(32)", maxLength: 32, nullable: false, collation: "C"),
                    kind = table.Column<short>(type: "smallint", nullable: false),
                    reported_at = table.Column<long>(type: "bigint", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("pk_loss_reports", x => new { x.credential_ref, x.institution_id });
                });

            // A claim names the status that it was begun under, and a reading of another status is out of date.
            migrationBuilder.Sql(
                """
                DROP TRIGGER credentials_epoch ON credentials;
                CREATE TRIGGER credentials_epoch AFTER UPDATE OF drift_steps, status ON credentials
                    FOR EACH ROW WHEN (NEW.drift_steps <> OLD.drift_steps OR NEW.status <> OLD.status) EXECUTE FUNCTION begin_epoch_of_credential();
                """);
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.Sql(
                """
                DROP TRIGGER credentials_epoch ON credentials;
                CREATE TRIGGER credentials_epoch AFTER UPDATE OF drift_steps ON credentials
                    FOR EACH ROW WHEN (NEW.drift_steps <> OLD.drift_steps) EXECUTE FUNCTION begin_epoch_of_credential();
                """);

            migrationBuilder.DropTable(
                name: "loss_reports");
        }
    }
}
