using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace OtpAuthService.Storage.Migrations.Sqlite
{
    /// <inheritdoc />
    public partial class SuppliedTo : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.AddColumn<string>(
                name: "supplied_to",
                table: "credentials",
                type: "TEXT",
                maxLength: 32,
                nullable: true);
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            // Not DropColumn, which builds the table anew: triggers would be lost.
            migrationBuilder.Sql("ALTER TABLE credentials DROP COLUMN supplied_to;");
        }
    }
}
