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
        "--since", "Take all events from then on for lost that the database has not. Default: those of the last 30 days, where it has any of the file.");

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
            parsed.GetRequiredValue(From), await ReadKnownAsync(call), parsed.GetValue(Since), TimeProvider.System.GetUtcNow(), parsed.InvocationConfiguration.Error, call.Cancellation);
        var (apply, exitCode) = (parsed.GetValue(ApplyOption.Option), ExitCode.Success);
        foreach (var stop in LostStop.Of(lost))
        {
            try
            {
                var remedy = stop.RemedyFor((GetBindingResponse?)await Now.BindingAsync(call, stop.Contractor));
                Print(parsed, stop, remedy, applied: apply && await ApplyAsync(parsed, call, stop, remedy));
            }
            catch (RpcException failed) when (!call.Cancellation.IsCancellationRequested)
            {
                // The others are stopped all the same; done again, it finds whom it has not.
                parsed.InvocationConfiguration.Error.WriteLine($"otpctl: {stop.Contractor} is not done, do it again.");
                failed.WriteTo(parsed.InvocationConfiguration.Error);
                exitCode = ExitCode.Unavailable;
            }
        }

        if (!apply)
        {
            Change.WriteLastLine(parsed);
        }

        return exitCode;
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
    /// <returns>Whether anything was to be done; what is refused is an error.</returns>
    private static async Task<bool> ApplyAsync(ParseResult parsed, ServiceCall call, LostStop stop, Remedy remedy)
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
                return true;
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
                return true;
            case Remedy.None or Remedy.ByHand:
                return false;
            default:
                throw new ArgumentOutOfRangeException(nameof(remedy), remedy, "Not a remedy.");
        }
    }

    private static void Print(ParseResult parsed, LostStop stop, Remedy remedy, bool applied)
    {
        var (kind, at) = (AnswerText.Text(stop.Event.Kind), AnswerText.Text(stop.Event.OccurredAt));
        parsed.InvocationConfiguration.Output.WriteLine(parsed.GetValue(GlobalOptions.Json)
            ? new JsonObject
            {
                ["applied"] = applied,
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
