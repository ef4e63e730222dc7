using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace OtpAuthService.Storage.Migrations.Postgres
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
                type: "character varying(32)",
                maxLength: 32,
                nullable: true,
                collation: "C");
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropColumn(
                name: "supplied_to",
                table: "credentials");
        }
    }
}
