using System.CommandLine;
using System.Globalization;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using OtpAuthService.Callers;
using OtpCtl.Commands.Audit;

namespace OtpCtl.Commands.Caller;

/// <summary>What a row has beyond its name, roles, institutions and end is written by hand: a bypass grant above all, which somebody answers for.</summary>
internal static class AddCommand
{
    private static readonly Option<string> Id = new("--id") { Description = "Names it in records and metrics, 1 to 64 of [A-Za-z0-9._-].", HelpName = "id", Required = true };

    private static readonly Option<FileInfo> Pem = new Option<FileInfo>("--pem")
    {
        Description = "The caller's certificate, a PEM file: its name is the one URI in it, or the one DNS name.",
        HelpName = "file",
        Required = true,
    }.AcceptExistingOnly();

    private static readonly Option<string[]> Roles = new Option<string[]>("--roles")
    {
        Description = "What it may do.",
        Required = true,
        AllowMultipleArgumentsPerToken = true,
    }.AcceptOnlyFromAmong("Frontend", "MobileGateway", "Operator", "Auditor");

    private static readonly Option<string[]> Institutions = new("--institutions")
    {
        Description = "For whom it acts.",
        HelpName = "id",
        Required = true,
        AllowMultipleArgumentsPerToken = true,
    };

    private static readonly Option<DateTimeOffset?> NotAfter = MomentOption.Create("--not-after", "It is nobody from then on: ISO 8601, in the local zone where it names none. Default: no end.");

    private static readonly JsonSerializerOptions Line = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static Command Create()
    {
        var command = new Command("add", "Adds a caller to the callers' file; everything else in it stays as it was written.")
        {
            CallersFile.Option, Id, Pem, Roles, Institutions, NotAfter, ApplyOption.Option,
        };
        command.SetAction((parsed, cancellation) => Failures.ReportAsync(parsed, () => AddAsync(parsed, cancellation)));
        return command.WithExample("otpctl caller add --file callers.json --id desk-2 --pem certs/desk-2.pem --roles Operator --institutions demo --apply");
    }

    private static async Task<int> AddAsync(ParseResult parsed, CancellationToken cancellation)
    {
        var path = CallersFile.PathOf(parsed);
        var before = await File.ReadAllBytesAsync(path, cancellation);
        _ = CallersFile.Read(path, before);
        var after = CallersText.Add(before, Write(Row(parsed)));
        var added = CallersFile.Read(path, after).Named.Single(named => named.Value.Id == parsed.GetRequiredValue(Id));
        return CallerChange.Conclude(parsed, path, after, CallerRows.Of(added.Key, added.Value));
    }

    private static JsonObject Row(ParseResult parsed)
    {
        var row = new JsonObject
        {
            ["id"] = parsed.GetRequiredValue(Id),
            ["name"] = NameIn(parsed.GetRequiredValue(Pem).FullName),
            ["roles"] = Texts(parsed.GetRequiredValue(Roles)),
            ["institutions"] = Texts(parsed.GetRequiredValue(Institutions)),
        };
        if (parsed.GetValue(NotAfter) is { } end)
        {
            row["notAfter"] = end.ToString("yyyy-MM-dd'T'HH:mm:ssK", CultureInfo.InvariantCulture);
        }

        return row;
    }

    // On one line with room to read, as the README has them.
    private static string Write(JsonObject row) => $"{{ {string.Join(", ", row.Select(member => $"\"{member.Key}\": {member.Value!.ToJsonString(Line).Replace("\",\"", "\", \"", StringComparison.Ordinal)}"))} }}";

    private static JsonArray Texts(IEnumerable<string> texts) => new([.. texts.Distinct().Select(text => JsonValue.Create(text))]);

    private static string NameIn(string path)
    {
        try
        {
            using var certificate = X509Certificate2.CreateFromPem(File.ReadAllText(path));
            return CertificateNames.NameOf(certificate)
                ?? throw new UsageException($"the certificate in '{path}' names nobody: it needs one URI among its subject alternative names, or without any URI one DNS name.");
        }
        catch (CryptographicException e)
        {
            throw new UsageException($"'{path}' holds no certificate in PEM form: {e.Message}");
        }
    }
}
