using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace OtpAuthService.Storage.Migrations.Sqlite
{
    /// <inheritdoc />
    public partial class EpochsByTrigger : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            // As on PostgreSQL. In a migration of their own: where a migration rebuilds a table, its triggers are lost.
            migrationBuilder.Sql(
                """
                CREATE TRIGGER bindings_epoch AFTER UPDATE OF state, credential_ref ON bindings WHEN OLD.state = 1
                BEGIN
                    UPDATE credentials SET epoch = epoch + 1 WHERE id = OLD.credential_ref;
                END;

                CREATE TRIGGER bindings_epoch_last AFTER DELETE ON bindings WHEN OLD.state = 1
                BEGIN
                    UPDATE credentials SET epoch = epoch + 1 WHERE id = OLD.credential_ref;
                END;

                CREATE TRIGGER contractors_epoch_first AFTER INSERT ON contractors
                    WHEN NEW.consecutive_failures > 0 OR NEW.locked_until IS NOT NULL
                BEGIN
                    UPDATE credentials SET epoch = epoch + 1 WHERE id IN (SELECT credential_ref FROM bindings
                        WHERE institution_id = NEW.institution_id AND contractor_id = NEW.contractor_id AND state = 1);
                END;

                CREATE TRIGGER contractors_epoch AFTER UPDATE OF consecutive_failures, locked_until ON contractors
                    WHEN OLD.consecutive_failures = 0 AND OLD.locked_until IS NULL AND (NEW.consecutive_failures > 0 OR NEW.locked_until IS NOT NULL)
                BEGIN
                    UPDATE credentials SET epoch = epoch + 1 WHERE id IN (SELECT credential_ref FROM bindings
                        WHERE institution_id = NEW.institution_id AND contractor_id = NEW.contractor_id AND state = 1);
                END;

                CREATE TRIGGER credentials_epoch AFTER UPDATE OF drift_steps ON credentials WHEN NEW.drift_steps <> OLD.drift_steps
                BEGIN
                    UPDATE credentials SET epoch = epoch + 1 WHERE id = NEW.id;
                END;
                """);
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.Sql(
                """
                DROP TRIGGER bindings_epoch;
                DROP TRIGGER bindings_epoch_last;
                DROP TRIGGER contractors_epoch_first;
                DROP TRIGGER contractors_epoch;
                DROP TRIGGER credentials_epoch;
                """);
        }
    }
}
