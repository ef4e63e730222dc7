using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace OtpAuthService.Storage.Migrations.Sqlite
{
    /// <inheritdoc />
    public partial class KeyHierarchy : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.CreateTable(
                name: "data_keys",
                columns: table => new
                {
                    version = table.Column<int>(type: "INTEGER", nullable: false),
                    use = table.Column<short>(type: "INTEGER", nullable: false),
                    kek_version = table.Column<string>(type: "TEXT", maxLength: 128, nullable: false),
                    wrapped_key = table.Column<byte[]>(type: "BLOB", nullable: false),
                    created_at = table.Column<long>(type: "INTEGER", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("pk_data_keys", x => x.version);
                });

            // A nonce that comes twice under one data key would give away both keys: refused, whatever drew it. It also finds what a rotation has left to do.
            migrationBuilder.Sql("CREATE UNIQUE INDEX ux_credentials_nonce ON credentials (key_version, substr(wrapped_key, 1, 12));");
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.Sql("DROP INDEX ux_credentials_nonce;");

            migrationBuilder.DropTable(
                name: "data_keys");
        }
    }
}
