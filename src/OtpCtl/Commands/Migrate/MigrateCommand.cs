using System.CommandLine;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Configuration;
using OtpAuthService.Hosting;
using OtpAuthService.Storage;

namespace OtpCtl.Commands.Migrate;

/// <summary>By the service's own migrations and settings, without starting it: as a role that owns the tables, which the service should not be.</summary>
internal static class MigrateCommand
{
    public static Command Create()
    {
        var command = new Command(
            "migrate",
            "Brings the schema in PostgreSQL up to date for the service of this version and gives the service's roles their rights. Asks the database and not the "
                + "service: by ConnectionStrings__Postgres or ConnectionStrings__Postgres_FILE, as the service does.")
        {
            ApplyOption.Option,
        };
        command.SetAction((parsed, cancellation) => Failures.ReportAsync(parsed, () => MigrateAsync(parsed, cancellation)));
        return command.WithExample("ConnectionStrings__Postgres='Host=127.0.0.1;Username=otp_migration;Database=otp' otpctl migrate --apply");
    }

    private static async Task<int> MigrateAsync(ParseResult parsed, CancellationToken cancellation)
    {
        var errors = parsed.InvocationConfiguration.Error;
        using var stores = Open();
        try
        {
            await using var db = stores.CreateContext();
            var apply = parsed.GetValue(ApplyOption.Option);
            var schema = apply ? await Schema.MigrateAsync(db, cancellation) : await Schema.ReadAsync(db, cancellation);
            if (schema.Newer.Count > 0)
            {
                errors.WriteLine($"otpctl: the schema is newer than this program, which does not know {string.Join(", ", schema.Newer)}: nothing was done. Use the otpctl of that version.");
                return ExitCode.Refused;
            }

            Show(parsed, schema, apply);
            return ExitCode.Success;
        }
        catch (Exception refused) when (StoreErrors.IsForbidden(refused))
        {
            errors.WriteLine($"otpctl: PostgreSQL: {StoreErrors.ReasonOf(refused)}. Connect as the role that owns the tables, see deploy/make-roles.sql.");
            return ExitCode.Refused;
        }
        catch (TimeoutException held)
        {
            errors.WriteLine($"otpctl: {held.Message} Nothing was done.");
            return ExitCode.Unavailable;
        }
        catch (Exception outage) when (StoreErrors.IsOutage(outage) && !cancellation.IsCancellationRequested)
        {
            errors.WriteLine($"otpctl: PostgreSQL: {StoreErrors.ReasonOf(outage)}. What was migrated stays; the same command goes on from there.");
            return ExitCode.Unavailable;
        }
    }

    private static StoreSet Open()
    {
        try
        {
            using var settings = new ConfigurationManager();
            settings.AddEnvironmentVariables();
            settings.AddSecretFiles();
            return settings.IsEmbedded()
                ? throw new UsageException(
                    "set ConnectionStrings__Postgres, or ConnectionStrings__Postgres_FILE. The embedded default brings its file up to date by itself, at each start.")
                : StoreSettings.OpenPostgres(settings);
        }
        catch (InvalidDataException wrong)
        {
            throw new UsageException(wrong.Message);
        }
    }

    private static void Show(ParseResult parsed, Schema schema, bool applied)
    {
        AnswerOutput.Write(parsed, new JsonObject
        {
            ["applied"] = applied,
            ["schema_before"] = schema.Applied is [.., var newest] ? newest : "empty",
            ["migrations"] = new JsonArray([.. schema.Pending.Select(migration => JsonValue.Create(migration))]),
        });
        if (!applied)
        {
            Change.WriteLastLine(parsed);
        }
    }
}
