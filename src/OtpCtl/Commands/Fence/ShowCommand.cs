using System.CommandLine;
using OtpAuthService.V1;

namespace OtpCtl.Commands.Fence;

internal static class ShowCommand
{
    public static Command Create()
    {
        var command = new Command("show", "Shows up to when OTPs are refused at every institution, since when and why.");
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => ShowAsync(parsed, call), cancellation));
        return command.WithExample("otpctl fence show");
    }

    private static async Task<int> ShowAsync(ParseResult parsed, ServiceCall call)
    {
        AnswerOutput.Write(parsed, await call.Service.Operations.GetFenceAsync(
            new GetFenceRequest { InstitutionId = call.Institution }, cancellationToken: call.Cancellation));
        return ExitCode.Success;
    }
}
