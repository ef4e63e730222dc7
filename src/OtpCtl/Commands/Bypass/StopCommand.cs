using System.CommandLine;

namespace OtpCtl.Commands.Bypass;

internal static class StopCommand
{
    public static Command Create()
    {
        var command = new Command("stop", "The kill switch: within a second nobody of the institution is answered without an OTP, on any replica.")
        {
            ReasonOption.Option, OperatorOption.Option, ServiceCall.RequestIdOption,
        };
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => StopAsync(parsed, call), cancellation));
        return command;
    }

    private static async Task<int> StopAsync(ParseResult parsed, ServiceCall call)
    {
        AnswerOutput.Write(parsed, await call.Service.Operations.StopBypassAsync(
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
