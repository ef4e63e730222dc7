using System;
using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace OtpAuthService.Storage.Migrations.Postgres
{
    /// <inheritdoc />
    public partial class Events : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            // A number is given out only to who has a transaction id by then: EventHorizon rests on that. With the rights of the owner: nobody else advances the sequence.
            migrationBuilder.Sql(
                """
                CREATE SEQUENCE events_id_seq;

                CREATE FUNCTION next_event_id() RETURNS bigint LANGUAGE plpgsql VOLATILE SECURITY DEFINER AS $$
                BEGIN
                    PERFORM pg_current_xact_id();
                    RETURN nextval('events_id_seq');
                END $$;
                """);

            migrationBuilder.CreateTable(
                name: "events",
                columns: table => new
                {
                    id = table.Column<long>(type: "bigint", nullable: false, defaultValueSql: "next_event_id()"),
                    event_id = table.Column<Guid>(type: "uuid", nullable: false),
                    institution_id = table.Column<string>(type: "character varying(32)", maxLength: 32, nullable: false, collation: "C"),
                    contractor_id = table.Column<string>(type: "character varying(64)", maxLength: 64, nullable: false, collation: "C"),
                    kind = table.Column<short>(type: "smallint", nullable: false),
                    occurred_at = table.Column<long>(type: "bigint", nullable: false),
                    credential_ref = table.Column<long>(type: "bigint", nullable: true),
                    rpc = table.Column<string>(type: "character varying(32)", maxLength: 32, nullable: false, collation: "C"),
                    request_id = table.Column<string>(type: "character varying(64)", maxLength: 64, nullable: false, collation: "C"),
                    locked_until = table.Column<long>(type: "bigint", nullable: true)
                },
                constraints: table =>
                {
                    table.PrimaryKey("pk_events", x => x.id);
                });

            migrationBuilder.CreateIndex(
                name: "ix_events_institution_id_id",
                table: "events",
                columns: new[] { "institution_id", "id" });
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropTable(
                name: "events");

            migrationBuilder.Sql("DROP FUNCTION next_event_id(); DROP SEQUENCE events_id_seq;");
        }
    }
}
