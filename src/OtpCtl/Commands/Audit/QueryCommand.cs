using System.CommandLine;
using System.Globalization;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using OtpAuthService.V1;

namespace OtpCtl.Commands.Audit;

/// <summary>Prints records as they come: how many there are makes no difference to memory.</summary>
internal static class QueryCommand
{
    private static readonly Option<DateTimeOffset?> Since = MomentOption.Create(
        "--since", "From then on: ISO 8601, in the local zone where it names none, or 24h, 7d: so long ago. Default: 24 hours before --until.");

    private static readonly Option<DateTimeOffset?> Until = MomentOption.Create(
        "--until", "Up to then, exclusive, a date is its midnight; likewise. Default: now.");

    private static readonly Option<string?> Contractor = new("--contractor")
    {
        Description = "Only of this contractor (契約者ID), whichever way the records name it.",
        HelpName = "id",
    };

    private static readonly Option<string?> Credential = new("--credential") { Description = "Only about this credential (トークンID).", HelpName = "id" };

    private static readonly Option<string?> Rpc = new("--rpc") { Description = "Only of this RPC, such as Verify.", HelpName = "name" };

    private static readonly Option<string?> OutcomeOption =
        new Option<string?>("--outcome") { Description = "Only with this outcome, such as accepted, mismatch or already-used.", HelpName = "outcome" }.AcceptOnlyFromAmong([.. Outcomes().Keys]);

    private static readonly Option<string?> Caller = new("--caller") { Description = "Only of this caller.", HelpName = "id" };

    private static readonly Option<string?> Request = new("--request") { Description = "Only under this request id.", HelpName = "id" };

    private static readonly Option<int> Limit = new("--limit")
    {
        Description = "At most so many records, the oldest ones. Default: all.",
        HelpName = "n",
        CustomParser = result =>
        {
            if (int.TryParse(result.Tokens.Single().Value, NumberStyles.None, CultureInfo.InvariantCulture, out var limit) && limit > 0)
            {
                return limit;
            }

            result.AddError("--limit is a number from 1 on.");
            return 0;
        },
    };

    private static readonly Option<bool> Csv = new("--csv")
    {
        Description = "Print CSV (RFC 4180, UTF-8) with a header row. A value that a spreadsheet would take for a formula has an apostrophe in front.",
    };

    public static Command Create()
    {
        var command = new Command(
            "query",
            "Prints audit records, the oldest first: one line each, without the hash and others that --csv and --json have; with --json one JSON document per line.")
        {
            Since, Until, Contractor, Credential, Rpc, OutcomeOption, Caller, Request, Limit, Csv,
        };
        command.Validators.Add(result =>
        {
            if (result.GetValue(Csv) && result.GetValue(GlobalOptions.Json))
            {
                result.AddError("--csv and --json exclude each other.");
            }
        });
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => QueryAsync(parsed, call), cancellation));
        return command.WithExample("otpctl audit query --since 7d --rpc ReportLost --csv");
    }

    private static async Task<int> QueryAsync(ParseResult parsed, ServiceCall call)
    {
        using var answer = call.Service.Operations.QueryAudit(ReadQuery(parsed, call), cancellationToken: call.Cancellation);
        var print = Printer(parsed);
        await foreach (var part in answer.ResponseStream.ReadAllAsync(call.Cancellation))
        {
            print(part.Record);
        }

        return ExitCode.Success;
    }

    private static QueryAuditRequest ReadQuery(ParseResult parsed, ServiceCall call) => new()
    {
        InstitutionId = call.Institution,
        Since = parsed.GetValue(Since)?.ToTimestamp(),
        Until = parsed.GetValue(Until)?.ToTimestamp(),
        ContractorId = parsed.GetValue(Contractor) ?? "",
        CredentialId = parsed.GetValue(Credential) ?? "",
        Rpc = parsed.GetValue(Rpc) ?? "",
        Outcome = parsed.GetValue(OutcomeOption) is { } outcome ? Outcomes()[outcome] : Outcome.Unspecified,
        CallerId = parsed.GetValue(Caller) ?? "",
        RequestId = parsed.GetValue(Request) ?? "",
        Limit = parsed.GetValue(Limit),
    };

    // What comes before the records is printed at once.
    private static Action<AuditRecord> Printer(ParseResult parsed)
    {
        var output = parsed.InvocationConfiguration.Output;
        if (parsed.GetValue(GlobalOptions.Json))
        {
            return record => AnswerOutput.Write(parsed, record);
        }

        if (parsed.GetValue(Csv))
        {
            output.Write(RecordCsv.Header + RecordCsv.LineEnd);
            return record => output.Write(RecordCsv.Of(record) + RecordCsv.LineEnd);
        }

        if (!AnswerOutput.IsForPeople(parsed))
        {
            return record => output.WriteLine(RecordText.Of(record));
        }

        var screen = AnswerOutput.Screen(output);
        output.WriteLine(RecordText.Header);
        return record => screen.Write(new Spectre.Console.Markup(RecordText.MarkupOf(record) + "\n"));
    }

    // already-used → AlreadyUsed: the names that answers print, as options are spelled.
    private static Dictionary<string, Outcome> Outcomes() => System.Enum.GetValues<Outcome>()
        .Where(outcome => outcome != Outcome.Unspecified)
        .ToDictionary(outcome => AnswerText.Text(outcome).ToLowerInvariant().Replace('_', '-'));
}
