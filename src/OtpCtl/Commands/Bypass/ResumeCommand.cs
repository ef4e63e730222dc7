using System.CommandLine;
using OtpAuthService.V1;

namespace OtpCtl.Commands.Bypass;

internal static class ResumeCommand
{
    public static Command Create()
    {
        var command = new Command("resume", "Ends bypass stop: callers' grants hold again.")
        {
            ReasonOption.Option, OperatorOption.Option, ApplyOption.Option, ServiceCall.RequestIdOption,
        };
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => ResumeAsync(parsed, call), cancellation));
        return command.WithExample("otpctl bypass resume --reason explained --apply");
    }

    private static Task<int> ResumeAsync(ParseResult parsed, ServiceCall call)
    {
        var request = new ResumeBypassRequest
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
            () => call.Service.Operations.ResumeBypassAsync(request, cancellationToken: call.Cancellation).ResponseAsync);
    }
}
