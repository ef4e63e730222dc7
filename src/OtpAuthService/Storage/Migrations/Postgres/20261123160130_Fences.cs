using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace OtpAuthService.Storage.Migrations.Postgres
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
                    evidence = table.Column<string>(type: "character varying(200)", maxLength: 200, nullable: false, collation: "C"),
                    until = table.Column<long>(type: "bigint", nullable: false),
                    raised_at = table.Column<long>(type: "bigint", nullable: false),
                    reason = table.Column<string>(type: "character varying(200)", maxLength: 200, nullable: false, collation: "C")
                },
                constraints: table =>
                {
                    table.PrimaryKey("pk_fences", x => x.evidence);
                });

            migrationBuilder.CreateIndex(
                name: "ix_fences_until",
                table: "fences",
                column: "until");

            // The lock comes before the reading, and a function that is volatile reads what is committed by then: whoever was kept out by a fence that is being
            // raised reads that one. It is held until the commit, so that whoever raises a fence waits for all who have read the one before.
            // The name of the server and its timeline is the one of StorePosition.Evidence.
            migrationBuilder.Sql(
                """
                CREATE FUNCTION fence_in_force() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
                DECLARE
                    here constant text := format('PostgreSQL %s timeline %s', (SELECT system_identifier FROM pg_control_system()),
                        ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::int);
                BEGIN
                    PERFORM pg_advisory_xact_lock_shared(hashtext('otp fence'));
                    IF NOT EXISTS (SELECT FROM fences WHERE evidence = here) THEN
                        RAISE EXCEPTION 'this database may have lost commits, and is not fenced yet' USING ERRCODE = 'object_not_in_prerequisite_state';
                    END IF;
                    RETURN (SELECT max(until) FROM fences);
                END $$;

                CREATE FUNCTION refuse_change_of_fence() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    RAISE EXCEPTION 'a fence is never lowered or taken away';
                END $$;

                CREATE TRIGGER fences_stay BEFORE UPDATE OR DELETE ON fences FOR EACH ROW EXECUTE FUNCTION refuse_change_of_fence();
                """);
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropTable(
                name: "fences");

            migrationBuilder.Sql("DROP FUNCTION fence_in_force(); DROP FUNCTION refuse_change_of_fence();");
        }
    }
}
