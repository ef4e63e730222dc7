using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace OtpAuthService.Storage.Migrations.Sqlite
{
    /// <inheritdoc />
    public partial class Fences : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.CreateTable(
                name: "fences",
                columns: table => new
                {
                    evidence = table.Column<string>(type: "TEXT", maxLength: 200, nullable: false),
                    until = table.Column<long>(type: "INTEGER", nullable: false),
                    raised_at = table.Column<long>(type: "INTEGER", nullable: false),
                    reason = table.Column<string>(type: "TEXT", maxLength: 200, nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("pk_fences", x => x.evidence);
                });

            migrationBuilder.CreateIndex(
                name: "ix_fences_until",
                table: "fences",
                column: "until");

            migrationBuilder.Sql(
                """
                CREATE TRIGGER fences_stay_as_they_are BEFORE UPDATE ON fences
                BEGIN
                    SELECT RAISE(ABORT, 'a fence is never lowered or taken away');
                END;

                CREATE TRIGGER fences_stay BEFORE DELETE ON fences
                BEGIN
                    SELECT RAISE(ABORT, 'a fence is never lowered or taken away');
                END;
                """);
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropTable(
                name: "fences");
        }
    }
}
