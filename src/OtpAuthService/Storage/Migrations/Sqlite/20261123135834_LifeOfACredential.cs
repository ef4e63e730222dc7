using System;
using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace OtpAuthService.Storage.Migrations.Sqlite
{
    /// <inheritdoc />
    public partial class LifeOfACredential : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropIndex(
                name: "ux_bindings_one_active_per_contractor",
                table: "bindings");

            migrationBuilder.DropIndex(
                name: "ux_bindings_one_contractor_per_credential",
                table: "bindings");

            migrationBuilder.AddColumn<bool>(
                name: "contractor_may_unlock",
                table: "institutions",
                type: "INTEGER",
                nullable: false,
                defaultValue: false);

            migrationBuilder.AddColumn<bool>(
                name: "temporary_otp_needs_confirmation",
                table: "institutions",
                type: "INTEGER",
                nullable: false,
                defaultValue: false);

            migrationBuilder.AddColumn<int>(
                name: "drift_days",
                table: "credentials",
                type: "INTEGER",
                nullable: false,
                defaultValue: 0);

            migrationBuilder.AddColumn<long>(
                name: "out_of_sync_step",
                table: "credentials",
                type: "INTEGER",
                nullable: true);

            migrationBuilder.AddColumn<bool>(
                name: "temporary_otp_awaits_confirmation",
                table: "contractors",
                type: "INTEGER",
                nullable: true);

            migrationBuilder.AddColumn<long>(
                name: "temporary_otp_expires_at",
                table: "contractors",
                type: "INTEGER",
                nullable: true);

            migrationBuilder.AddColumn<string>(
                name: "temporary_otp_issued_by",
                table: "contractors",
                type: "TEXT",
                maxLength: 128,
                nullable: true);

            migrationBuilder.AddColumn<string>(
                name: "temporary_otp_issued_by_operator",
                table: "contractors",
                type: "TEXT",
                maxLength: 64,
                nullable: true);

            migrationBuilder.AddColumn<Guid>(
                name: "temporary_otp_issued_under",
                table: "contractors",
                type: "TEXT",
                nullable: true);

            migrationBuilder.AddColumn<byte[]>(
                name: "temporary_otp_salt",
                table: "contractors",
                type: "BLOB",
                nullable: true);

            migrationBuilder.AddColumn<int>(
                name: "temporary_otp_uses_left",
                table: "contractors",
                type: "INTEGER",
                nullable: true);

            migrationBuilder.AddColumn<long>(
                name: "reregistration_until",
                table: "bindings",
                type: "INTEGER",
                nullable: true);

            migrationBuilder.AddColumn<int>(
                name: "offset_steps",
                table: "answers",
                type: "INTEGER",
                nullable: true);

            migrationBuilder.CreateIndex(
                name: "ux_bindings_one_active_per_contractor",
                table: "bindings",
                columns: new[] { "institution_id", "contractor_id" },
                unique: true,
                filter: "state IN (1, 5)");

            migrationBuilder.CreateIndex(
                name: "ux_bindings_one_contractor_per_credential",
                table: "bindings",
                columns: new[] { "institution_id", "credential_ref" },
                unique: true,
                filter: "state IN (1, 5)");

            // As on PostgreSQL.
            migrationBuilder.Sql(
                """
                DROP TRIGGER contractors_epoch;
                CREATE TRIGGER contractors_epoch AFTER UPDATE OF consecutive_failures, locked_until, temporary_otp_uses_left ON contractors
                    WHEN OLD.consecutive_failures = 0 AND OLD.locked_until IS NULL AND COALESCE(OLD.temporary_otp_uses_left, 0) = 0
                        AND (NEW.consecutive_failures > 0 OR NEW.locked_until IS NOT NULL OR NEW.temporary_otp_uses_left > 0)
                BEGIN
                    UPDATE credentials SET epoch = epoch + 1 WHERE id IN (SELECT credential_ref FROM bindings
                        WHERE institution_id = NEW.institution_id AND contractor_id = NEW.contractor_id AND state = 1);
                END;

                DROP TRIGGER contractors_epoch_first;
                CREATE TRIGGER contractors_epoch_first AFTER INSERT ON contractors
                    WHEN NEW.consecutive_failures > 0 OR NEW.locked_until IS NOT NULL OR NEW.temporary_otp_uses_left > 0
                BEGIN
                    UPDATE credentials SET epoch = epoch + 1 WHERE id IN (SELECT credential_ref FROM bindings
                        WHERE institution_id = NEW.institution_id AND contractor_id = NEW.contractor_id AND state = 1);
                END;
                """);
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.Sql("DROP TRIGGER contractors_epoch; DROP TRIGGER contractors_epoch_first;");

            migrationBuilder.DropIndex(
                name: "ux_bindings_one_active_per_contractor",
                table: "bindings");

            migrationBuilder.DropIndex(
                name: "ux_bindings_one_contractor_per_credential",
                table: "bindings");

            // Not DropColumn, which builds the table anew: triggers would be lost, and those that name it stand in the way.
            migrationBuilder.Sql(
                """
                ALTER TABLE institutions DROP COLUMN contractor_may_unlock;
                ALTER TABLE institutions DROP COLUMN temporary_otp_needs_confirmation;
                ALTER TABLE credentials DROP COLUMN drift_days;
                ALTER TABLE credentials DROP COLUMN out_of_sync_step;
                ALTER TABLE contractors DROP COLUMN temporary_otp_awaits_confirmation;
                ALTER TABLE contractors DROP COLUMN temporary_otp_expires_at;
                ALTER TABLE contractors DROP COLUMN temporary_otp_issued_by;
                ALTER TABLE contractors DROP COLUMN temporary_otp_issued_by_operator;
                ALTER TABLE contractors DROP COLUMN temporary_otp_issued_under;
                ALTER TABLE contractors DROP COLUMN temporary_otp_salt;
                ALTER TABLE contractors DROP COLUMN temporary_otp_uses_left;
                ALTER TABLE bindings DROP COLUMN reregistration_until;
                ALTER TABLE answers DROP COLUMN offset_steps;
                """);

            migrationBuilder.CreateIndex(
                name: "ux_bindings_one_active_per_contractor",
                table: "bindings",
                columns: new[] { "institution_id", "contractor_id" },
                unique: true,
                filter: "state = 1");

            migrationBuilder.CreateIndex(
                name: "ux_bindings_one_contractor_per_credential",
                table: "bindings",
                columns: new[] { "institution_id", "credential_ref" },
                unique: true,
                filter: "state = 1");

            migrationBuilder.Sql(
                """
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
                """);
        }
    }
}
