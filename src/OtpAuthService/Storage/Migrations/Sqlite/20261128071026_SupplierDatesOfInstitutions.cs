using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace OtpAuthService.Storage.Migrations.Sqlite
{
    /// <inheritdoc />
    public partial class SupplierDatesOfInstitutions : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.AddColumn<string>(
                name: "institution_id",
                table: "supplier_dates",
                type: "TEXT",
                maxLength: 32,
                nullable: true);

            // What holds everywhere goes on to hold everywhere, and each institution can change it for itself.
            migrationBuilder.Sql(
                """
                INSERT INTO supplier_dates (institution_id, supplier, no_registration_from, verify_until, caller_id, operator_id, reason, set_at)
                SELECT i.id, d.supplier, d.no_registration_from, d.verify_until, d.caller_id, d.operator_id, d.reason, d.set_at
                FROM supplier_dates AS d CROSS JOIN institutions AS i ORDER BY d.id, i.id;

                DELETE FROM supplier_dates WHERE institution_id IS NULL;
                """);
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            // The version before has one for all: whoever set dates last has set them for everybody, until somebody sets others.
            migrationBuilder.Sql("ALTER TABLE supplier_dates DROP COLUMN institution_id;");
        }
    }
}
