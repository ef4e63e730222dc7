using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace OtpAuthService.Storage.Migrations.Sqlite
{
    /// <inheritdoc />
    public partial class HotPath : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropIndex(
                name: "ix_audit_records_institution_id_contractor_id_id",
                table: "audit_records");

            migrationBuilder.DropIndex(
                name: "ix_answers_decided_at",
                table: "answers");

            migrationBuilder.DropColumn(
                name: "revision",
                table: "contractors");
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.AddColumn<long>(
                name: "revision",
                table: "contractors",
                type: "INTEGER",
                nullable: false,
                defaultValue: 0L);

            migrationBuilder.CreateIndex(
                name: "ix_audit_records_institution_id_contractor_id_id",
                table: "audit_records",
                columns: new[] { "institution_id", "contractor_id", "id" });

            migrationBuilder.CreateIndex(
                name: "ix_answers_decided_at",
                table: "answers",
                column: "decided_at");
        }
    }
}
