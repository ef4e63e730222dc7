using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace OtpAuthService.Storage.Migrations.Postgres
{
    /// <inheritdoc />
    public partial class EpochsByTrigger : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            // A claim names the epoch that it was begun under. Whoever ends an active binding, counts something against its contractor for
            // the first time, or changes the drift, raises the epoch with it, whether they know or not.
            migrationBuilder.Sql(
                """
                CREATE FUNCTION begin_epoch_of_binding() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    UPDATE credentials SET epoch = epoch + 1 WHERE id = OLD.credential_ref;
                    RETURN NULL;
                END $$;

                CREATE FUNCTION begin_epoch_of_contractor() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    UPDATE credentials AS c SET epoch = c.epoch + 1 FROM bindings AS b
                    WHERE b.institution_id = NEW.institution_id AND b.contractor_id = NEW.contractor_id AND b.state = 1 AND c.id = b.credential_ref;
                    RETURN NULL;
                END $$;

                CREATE FUNCTION begin_epoch_of_credential() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    UPDATE credentials SET epoch = epoch + 1 WHERE id = NEW.id;
                    RETURN NULL;
                END $$;

                CREATE TRIGGER bindings_epoch AFTER UPDATE OF state, credential_ref OR DELETE ON bindings
                    FOR EACH ROW WHEN (OLD.state = 1) EXECUTE FUNCTION begin_epoch_of_binding();
                CREATE TRIGGER contractors_epoch_first AFTER INSERT ON contractors
                    FOR EACH ROW WHEN (NEW.consecutive_failures > 0 OR NEW.locked_until IS NOT NULL) EXECUTE FUNCTION begin_epoch_of_contractor();
                CREATE TRIGGER contractors_epoch AFTER UPDATE OF consecutive_failures, locked_until ON contractors
                    FOR EACH ROW WHEN (OLD.consecutive_failures = 0 AND OLD.locked_until IS NULL
                        AND (NEW.consecutive_failures > 0 OR NEW.locked_until IS NOT NULL)) EXECUTE FUNCTION begin_epoch_of_contractor();
                CREATE TRIGGER credentials_epoch AFTER UPDATE OF drift_steps ON credentials
                    FOR EACH ROW WHEN (NEW.drift_steps <> OLD.drift_steps) EXECUTE FUNCTION begin_epoch_of_credential();
                """);
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.Sql(
                """
                DROP TRIGGER bindings_epoch ON bindings;
                DROP TRIGGER contractors_epoch_first ON contractors;
                DROP TRIGGER contractors_epoch ON contractors;
                DROP TRIGGER credentials_epoch ON credentials;
                DROP FUNCTION begin_epoch_of_binding();
                DROP FUNCTION begin_epoch_of_contractor();
                DROP FUNCTION begin_epoch_of_credential();
                """);
        }
    }
}
