using System.CommandLine;
using Grpc.Core;
using OtpAuthService.V1;

namespace OtpCtl.Commands.Event;

/// <summary>Prints events as they come. Whoever sends notices from it keeps the last resume_token.</summary>
internal static class StreamCommand
{
    private static readonly TimeSpan BetweenTries = TimeSpan.FromSeconds(1);

    private static readonly Option<string> After = new("--after")
    {
        Description = "The resume_token of the last event that was dealt with. Default: from the oldest that is kept, 30 days.",
        HelpName = "token",
        DefaultValueFactory = _ => "",
    };

    private static readonly Option<bool> Follow = new("--follow")
    {
        Description = "Wait for more, until interrupted. Default: end with the newest event.",
    };

    public static Command Create()
    {
        var command = new Command(
            "stream", "Prints what the bank may tell its contractors of, in order: one line each, without what only --json has; with --json one JSON document per line.")
        {
            After, Follow,
        };
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => StreamAsync(parsed, call), cancellation));
        return command.WithExample("otpctl event stream --follow --json");
    }

    private static async Task<int> StreamAsync(ParseResult parsed, ServiceCall call)
    {
        var request = new StreamEventsRequest { InstitutionId = call.Institution, ResumeToken = parsed.GetRequiredValue(After), UntilNow = !parsed.GetValue(Follow) };
        while (true)
        {
            try
            {
                using var answer = call.Service.Operations.StreamEvents(request, cancellationToken: call.Cancellation);
                await foreach (var told in answer.ResponseStream.ReadAllAsync(call.Cancellation))
                {
                    Print(parsed, told);
                    request.ResumeToken = told.ResumeToken;
                }

                return ExitCode.Success;
            }
            catch (RpcException end) when (!request.UntilNow && end.StatusCode == StatusCode.DeadlineExceeded)
            {
                // The service ends every stream after half an hour.
            }
            catch (RpcException end) when (!request.UntilNow && end.StatusCode == StatusCode.Unavailable && call.Service.HasConnected)
            {
                // A replica that stops ends its streams: another one goes on, or the same once it is back. Not cancelled: the next call is.
                await Task.Delay(BetweenTries, CancellationToken.None);
            }
        }
    }

    private static void Print(ParseResult parsed, StreamEventsResponse told)
    {
        if (parsed.GetValue(GlobalOptions.Json))
        {
            AnswerOutput.Write(parsed, told);
            return;
        }

        parsed.InvocationConfiguration.Output.WriteLine(Line(told));
    }

    private static string Line(StreamEventsResponse told) => string.Join(
        ' ', AnswerText.Text(told.OccurredAt), AnswerText.Text(told.Kind), told.ContractorId, told.CredentialId.Length > 0 ? told.CredentialId : "-", told.ResumeToken);
}
