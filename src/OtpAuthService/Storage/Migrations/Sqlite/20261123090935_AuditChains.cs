using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace OtpAuthService.Storage.Migrations.Sqlite
{
    /// <inheritdoc />
    public partial class AuditChains : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.AddColumn<short>(
                name: "audit_contractor_ids",
                table: "institutions",
                type: "INTEGER",
                nullable: false,
                defaultValue: (short)1);

            // audit_records stays as it is, for what was written before.
            migrationBuilder.CreateTable(
                name: "audit_trail",
                columns: table => new
                {
                    chain_id = table.Column<int>(type: "INTEGER", nullable: false),
                    position = table.Column<long>(type: "INTEGER", nullable: false),
                    hash = table.Column<byte[]>(type: "BLOB", nullable: false),
                    decided_at = table.Column<long>(type: "INTEGER", nullable: false),
                    rpc = table.Column<string>(type: "TEXT", maxLength: 32, nullable: false),
                    institution_id = table.Column<string>(type: "TEXT", maxLength: 32, nullable: false),
                    caller_id = table.Column<string>(type: "TEXT", maxLength: 128, nullable: false),
                    operator_id = table.Column<string>(type: "TEXT", maxLength: 64, nullable: true),
                    request_id = table.Column<string>(type: "TEXT", maxLength: 64, nullable: false),
                    contractor_id = table.Column<string>(type: "TEXT", maxLength: 64, nullable: true),
                    channel = table.Column<short>(type: "INTEGER", nullable: false),
                    purpose = table.Column<short>(type: "INTEGER", nullable: false),
                    credential_ref = table.Column<long>(type: "INTEGER", nullable: true),
                    time_step = table.Column<long>(type: "INTEGER", nullable: true),
                    outcome = table.Column<short>(type: "INTEGER", nullable: false),
                    decision = table.Column<short>(type: "INTEGER", nullable: false),
                    reason = table.Column<string>(type: "TEXT", maxLength: 200, nullable: true),
                    policy_version = table.Column<int>(type: "INTEGER", nullable: true)
                },
                constraints: table =>
                {
                    table.PrimaryKey("pk_audit_trail", x => new { x.chain_id, x.position, x.decided_at });
                });

            migrationBuilder.CreateTable(
                name: "audit_chains",
                columns: table => new
                {
                    id = table.Column<int>(type: "INTEGER", nullable: false)
                        .Annotation("Sqlite:Autoincrement", true),
                    beginning = table.Column<byte[]>(type: "BLOB", nullable: false),
                    opened_at = table.Column<long>(type: "INTEGER", nullable: false),
                    closed_by_head = table.Column<long>(type: "INTEGER", nullable: true),
                    closed_position = table.Column<long>(type: "INTEGER", nullable: true),
                    closed_hash = table.Column<byte[]>(type: "BLOB", nullable: true),
                    retired_position = table.Column<long>(type: "INTEGER", nullable: false),
                    retired_hash = table.Column<byte[]>(type: "BLOB", nullable: true)
                },
                constraints: table =>
                {
                    table.PrimaryKey("pk_audit_chains", x => x.id);
                });

            migrationBuilder.CreateTable(
                name: "audit_heads",
                columns: table => new
                {
                    number = table.Column<long>(type: "INTEGER", nullable: false),
                    signed_at = table.Column<long>(type: "INTEGER", nullable: false),
                    content = table.Column<string>(type: "TEXT", nullable: false),
                    hash = table.Column<byte[]>(type: "BLOB", nullable: false),
                    signature = table.Column<byte[]>(type: "BLOB", nullable: false),
                    public_key = table.Column<byte[]>(type: "BLOB", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("pk_audit_heads", x => x.number);
                });
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropTable(
                name: "audit_chains");

            migrationBuilder.DropTable(
                name: "audit_heads");

            migrationBuilder.DropTable(
                name: "audit_trail");

            migrationBuilder.DropColumn(
                name: "audit_contractor_ids",
                table: "institutions");
        }
    }
}
