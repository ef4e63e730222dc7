using System.CommandLine;
using System.Globalization;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using OtpAuthService.V1;
using OtpCtl.Commands.Audit;
using V1 = OtpAuthService.V1;

namespace OtpCtl.Commands.Binding;

/// <summary>For a help desk whose customer asks why an OTP was refused. It reads records and state, and no OTP is in either.</summary>
internal static class ExplainCommand
{
    private static readonly Option<DateTimeOffset?> Since = MomentOption.Create(
        "--since", "Answers from then on: ISO 8601, in the local zone where it names none, or 24h, 7d: so long ago. Default: 24 hours ago.");

    private static readonly Option<int> Limit = new("--limit")
    {
        Description = "At most so many answers, the last ones; 1 to 1000.",
        HelpName = "n",
        DefaultValueFactory = _ => 10,
        CustomParser = result =>
        {
            if (int.TryParse(result.Tokens.Single().Value, NumberStyles.None, CultureInfo.InvariantCulture, out var limit) && limit is >= 1 and <= 1000)
            {
                return limit;
            }

            result.AddError("--limit is a number from 1 to 1000.");
            return 0;
        },
    };

    public static Command Create()
    {
        var command = new Command("explain", "Says why the last answers about a contractor were what they were, how it stands now, and what to do.")
        {
            ContractorOption.Option, Since, Limit,
        };
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => ExplainAsync(parsed, call), cancellation));
        return command.WithExample("otpctl binding explain --contractor K-1 --since 7d");
    }

    private static async Task<int> ExplainAsync(ParseResult parsed, ServiceCall call)
    {
        var contractor = parsed.GetRequiredValue(ContractorOption.Option);
        var recent = new RecentAnswers(parsed.GetValue(Limit));
        var query = new QueryAuditRequest { InstitutionId = call.Institution, ContractorId = contractor, Since = parsed.GetValue(Since)?.ToTimestamp() };
        using var records = call.Service.Operations.QueryAudit(query, cancellationToken: call.Cancellation);
        await foreach (var part in records.ResponseStream.ReadAllAsync(call.Cancellation))
        {
            recent.Add(part.Record);
        }

        var binding = await FindBindingAsync(call, contractor, mayBeMissing: recent.Any);
        var answers = recent.Last(binding?.ConsecutiveFailures ?? 0);
        var state = new CurrentState(
            contractor,
            await call.Service.Operations.GetInstitutionAsync(new() { InstitutionId = call.Institution }, cancellationToken: call.Cancellation),
            binding,
            await call.Service.Operations.GetFenceAsync(new() { InstitutionId = call.Institution }, cancellationToken: call.Cancellation),
            await FindCredentialsAsync(
                call, answers.Select(answer => answer.Record.CredentialId).Concat(binding?.History.Take(1).Select(newest => newest.CredentialId) ?? [])));
        ExplanationOutput.Write(parsed, answers, state, TimeProvider.System.GetUtcNow());
        return ExitCode.Success;
    }

    /// <param name="call">To whom.</param>
    /// <param name="contractor">Whose.</param>
    /// <param name="mayBeMissing">Whether there are answers about the contractor: who never registered is let in or refused by policy, and then known by that alone.</param>
    private static async Task<GetBindingResponse?> FindBindingAsync(ServiceCall call, string contractor, bool mayBeMissing)
    {
        try
        {
            return await call.Service.Operations.GetBindingAsync(
                new() { InstitutionId = call.Institution, ContractorId = contractor }, cancellationToken: call.Cancellation);
        }
        catch (RpcException missing) when (missing.StatusCode == StatusCode.NotFound && mayBeMissing)
        {
            return null;
        }
    }

    private static async Task<Dictionary<string, V1.Credential>> FindCredentialsAsync(ServiceCall call, IEnumerable<string> ids)
    {
        var found = new Dictionary<string, V1.Credential>();
        foreach (var id in ids.Where(id => id.Length > 0).Distinct())
        {
            found[id] = (await call.Service.Operations.GetCredentialAsync(
                new() { InstitutionId = call.Institution, CredentialId = id }, cancellationToken: call.Cancellation)).Credential;
        }

        return found;
    }
}
