using System.CommandLine;

namespace OtpCtl.Commands.Institution;

internal static class ShowCommand
{
    public static Command Create()
    {
        var command = new Command("show", "Shows the institution with the policy in force, its version, and whether bypasses are stopped.");
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => ShowAsync(parsed, call), cancellation));
        return command.WithExample("otpctl institution show --institution minato");
    }

    private static async Task<int> ShowAsync(ParseResult parsed, ServiceCall call)
    {
        AnswerOutput.Write(
            parsed, await call.Service.Operations.GetInstitutionAsync(new() { InstitutionId = call.Institution }, cancellationToken: call.Cancellation));
        return ExitCode.Success;
    }
}
