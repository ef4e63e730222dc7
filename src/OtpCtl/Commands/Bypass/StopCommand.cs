using System.CommandLine;
using OtpAuthService.V1;

namespace OtpCtl.Commands.Bypass;

internal static class StopCommand
{
    public static Command Create()
    {
        var command = new Command("stop", "The kill switch: within a second nobody of the institution is answered without an OTP, on any replica.")
        {
            ReasonOption.Option, OperatorOption.Option, ApplyOption.Option, ServiceCall.RequestIdOption,
        };
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => StopAsync(parsed, call), cancellation));
        return command.WithExample("otpctl bypass stop --reason 'strange calls' --apply");
    }

    private static Task<int> StopAsync(ParseResult parsed, ServiceCall call)
    {
        var request = new StopBypassRequest
        {
            RequestId = call.RequestId,
            InstitutionId = call.Institution,
            Reason = parsed.GetRequiredValue(ReasonOption.Option),
            OperatorId = OperatorOption.Read(parsed),
        };
        return Change.RunAsync(
            parsed,
            request,
            () => Now.InstitutionAsync(call),
            () => call.Service.Operations.StopBypassAsync(request, cancellationToken: call.Cancellation).ResponseAsync);
    }
}
