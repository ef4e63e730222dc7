using System;
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
            // They are found by another key from now on; a retry of the last two minutes is decided as a new submission.
            migrationBuilder.Sql("DELETE FROM answers;");

            migrationBuilder.DropIndex(
                name: "ix_audit_records_institution_id_contractor_id_id",
                table: "audit_records");

            migrationBuilder.DropPrimaryKey(
                name: "pk_answers",
                table: "answers");

            migrationBuilder.DropIndex(
                name: "ix_answers_decided_at",
                table: "answers");

            migrationBuilder.DropColumn(
                name: "revision",
                table: "contractors");

            migrationBuilder.DropColumn(
                name: "caller_id",
                table: "answers");

            migrationBuilder.DropColumn(
                name: "request_id",
                table: "answers");

            migrationBuilder.AddColumn<Guid>(
                name: "key",
                table: "answers",
                type: "TEXT",
                nullable: false,
                defaultValue: new Guid("00000000-0000-0000-0000-000000000000"));

            migrationBuilder.AddPrimaryKey(
                name: "pk_answers",
                table: "answers",
                column: "key");
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.Sql("DELETE FROM answers;");

            migrationBuilder.DropPrimaryKey(
                name: "pk_answers",
                table: "answers");

            migrationBuilder.DropColumn(
                name: "key",
                table: "answers");

            migrationBuilder.AddColumn<long>(
                name: "revision",
                table: "contractors",
                type: "INTEGER",
                nullable: false,
                defaultValue: 0L);

            migrationBuilder.AddColumn<string>(
                name: "caller_id",
                table: "answers",
                type: "TEXT",
                maxLength: 128,
                nullable: false,
                defaultValue: "");

            migrationBuilder.AddColumn<string>(
                name: "request_id",
                table: "answers",
                type: "TEXT",
                maxLength: 64,
                nullable: false,
                defaultValue: "");

            migrationBuilder.AddPrimaryKey(
                name: "pk_answers",
                table: "answers",
                columns: new[] { "caller_id", "request_id" });

            migrationBuilder.CreateIndex(
                name: "ix_audit_records_institution_id_contractor_id_id",
                table: "audit_records",
                columns: new[] { "institution_id", "contractor_id", "id" });

            migrationBuilder.CreateIndex(
                name: "ix_answers_decided_at",
                table: "answers",
                column: "decided_at");
        }
    }
}
