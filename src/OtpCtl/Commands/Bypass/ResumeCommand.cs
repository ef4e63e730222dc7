using System.CommandLine;

namespace OtpCtl.Commands.Bypass;

internal static class ResumeCommand
{
    public static Command Create()
    {
        var command = new Command("resume", "Ends bypass stop: callers' grants hold again.")
        {
            ReasonOption.Option, OperatorOption.Option, ServiceCall.RequestIdOption,
        };
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => ResumeAsync(parsed, call), cancellation));
        return command;
    }

    private static async Task<int> ResumeAsync(ParseResult parsed, ServiceCall call)
    {
        AnswerOutput.Write(parsed, await call.Service.Operations.ResumeBypassAsync(
            new()
            {
                RequestId = call.RequestId,
                InstitutionId = call.Institution,
                Reason = parsed.GetRequiredValue(ReasonOption.Option),
                OperatorId = OperatorOption.Read(parsed),
            },
            cancellationToken: call.Cancellation));
        return ExitCode.Success;
    }
}
