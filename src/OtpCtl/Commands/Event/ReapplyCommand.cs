using System.CommandLine;
using System.Text.Json.Nodes;
using Grpc.Core;
using OtpAuthService.V1;
using OtpCtl.Commands.Audit;

namespace OtpCtl.Commands.Event;

/// <summary>After a restore: stops anew whom the lost events had stopped (promise P2), from the file that whoever reads events has kept.</summary>
internal static class ReapplyCommand
{
    private static readonly Option<FileInfo> From = new Option<FileInfo>("--file")
    {
        Description = "The events as event stream --follow --json has printed them, one a line.",
        HelpName = "file",
        Required = true,
    }.AcceptExistingOnly();

    private static readonly Option<DateTimeOffset?> Since = MomentOption.Create(
        "--since", "Take all events from then on for lost. Default: those behind the last one that the database still has.");

    public static Command Create()
    {
        var command = new Command(
            "reapply",
            "Stops anew whom events had stopped that a restored database has lost: losses are reported again; who had suspended or replaced a credential, was stopped or "
                + "locked until unlocked, is stopped by the bank until an operator resumes it. Says who has to be seen to by hand. One line per contractor.")
        {
            From, Since, OperatorOption.Option, ApplyOption.Option,
        };
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => ReapplyAsync(parsed, call), cancellation));
        return command.WithExample("otpctl event reapply --file events.jsonl --apply");
    }

    private static async Task<int> ReapplyAsync(ParseResult parsed, ServiceCall call)
    {
        var lost = await LostEvents.ReadAsync(
            parsed.GetRequiredValue(From), await ReadKnownAsync(call), parsed.GetValue(Since), parsed.InvocationConfiguration.Error, call.Cancellation);
        foreach (var stop in LostStop.Of(lost))
        {
            var remedy = stop.RemedyFor((GetBindingResponse?)await Now.BindingAsync(call, stop.Contractor));
            if (parsed.GetValue(ApplyOption.Option))
            {
                await ApplyAsync(parsed, call, stop, remedy);
            }

            Print(parsed, stop, remedy);
        }

        if (!parsed.GetValue(ApplyOption.Option))
        {
            Change.WriteLastLine(parsed);
        }

        return ExitCode.Success;
    }

    /// <summary>What the database has, back to 30 days.</summary>
    private static async Task<HashSet<string>> ReadKnownAsync(ServiceCall call)
    {
        var known = new HashSet<string>(StringComparer.Ordinal);
        using var answer = call.Service.Operations.StreamEvents(new() { InstitutionId = call.Institution, UntilNow = true }, cancellationToken: call.Cancellation);
        await foreach (var told in answer.ResponseStream.ReadAllAsync(call.Cancellation))
        {
            known.Add(told.EventId);
        }

        return known;
    }

    /// <summary>Under the lost event's own id: done again, it is a retry.</summary>
    private static async Task ApplyAsync(ParseResult parsed, ServiceCall call, LostStop stop, Remedy remedy)
    {
        var reason = $"done again after a restore: {AnswerText.Text(stop.Event.Kind)} of {AnswerText.Text(stop.Event.OccurredAt)}";
        switch (remedy)
        {
            case Remedy.ReportLost:
                await call.Service.Operations.ReportLostAsync(
                    new()
                    {
                        RequestId = stop.Event.EventId,
                        InstitutionId = call.Institution,
                        ContractorId = stop.Contractor,
                        Kind = LossKind.Other,
                        Reason = reason,
                        OperatorId = OperatorOption.Read(parsed),
                    },
                    cancellationToken: call.Cancellation);
                break;
            case Remedy.SuspendBinding:
                await call.Service.Operations.SuspendBindingAsync(
                    new()
                    {
                        RequestId = stop.Event.EventId,
                        InstitutionId = call.Institution,
                        ContractorId = stop.Contractor,
                        Reason = reason,
                        OperatorId = OperatorOption.Read(parsed),
                    },
                    cancellationToken: call.Cancellation);
                break;
            case Remedy.None or Remedy.ByHand:
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(remedy), remedy, "Not a remedy.");
        }
    }

    private static void Print(ParseResult parsed, LostStop stop, Remedy remedy)
    {
        var (kind, at) = (AnswerText.Text(stop.Event.Kind), AnswerText.Text(stop.Event.OccurredAt));
        parsed.InvocationConfiguration.Output.WriteLine(parsed.GetValue(GlobalOptions.Json)
            ? new JsonObject
            {
                ["applied"] = parsed.GetValue(ApplyOption.Option) && remedy is Remedy.ReportLost or Remedy.SuspendBinding,
                ["contractor_id"] = stop.Contractor,
                ["credential_id"] = stop.Event.CredentialId,
                ["event_id"] = stop.Event.EventId,
                ["lost"] = kind,
                ["occurred_at"] = at,
                ["remedy"] = AnswerText.Text(remedy),
            }.ToJsonString()
            : $"{stop.Contractor} {kind} {at} {AnswerText.Text(remedy)}");
    }
}
