using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace OtpAuthService.Storage.Migrations.Postgres
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
                    version = table.Column<int>(type: "integer", nullable: false),
                    use = table.Column<short>(type: "smallint", nullable: false),
                    kek_version = table.Column<string>(type: "character varying(128)", maxLength: 128, nullable: false, collation: "C"),
                    wrapped_key = table.Column<byte[]>(type: "bytea", nullable: false),
                    created_at = table.Column<long>(type: "bigint", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("pk_data_keys", x => x.version);
                });

            // A nonce that comes twice under one data key would give away both keys: refused, whatever drew it. It also finds what a rotation has left to do.
            migrationBuilder.Sql("CREATE UNIQUE INDEX ux_credentials_nonce ON credentials (key_version, substring(wrapped_key FROM 1 FOR 12));");

            // A data key stays as long as it wraps something. Not looked at now: the first data keys are made by the start that follows.
            migrationBuilder.Sql(
                "ALTER TABLE credentials ADD CONSTRAINT fk_credentials_data_keys FOREIGN KEY (key_version) REFERENCES data_keys (version) NOT VALID;");
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.Sql("ALTER TABLE credentials DROP CONSTRAINT fk_credentials_data_keys; DROP INDEX ux_credentials_nonce;");

            migrationBuilder.DropTable(
                name: "data_keys");
        }
    }
}
