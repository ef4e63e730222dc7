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
        }
    }
}
