using System.CommandLine;
using OtpAuthService.V1;

namespace OtpCtl.Commands.Binding;

internal static class StopCommand
{
    public static Command Create()
    {
        var command = new Command("stop", "The bank's own stop: every OTP of the contractor is denied until resume, on every replica.")
        {
            ContractorOption.Option, ReasonOption.Option, OperatorOption.Option, ApplyOption.Option, ServiceCall.RequestIdOption,
        };
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => StopAsync(parsed, call), cancellation));
        return command.WithExample("otpctl binding stop --contractor K-1 --reason 'account frozen' --apply");
    }

    private static Task<int> StopAsync(ParseResult parsed, ServiceCall call)
    {
        var request = new SuspendBindingRequest
        {
            RequestId = call.RequestId,
            InstitutionId = call.Institution,
            ContractorId = parsed.GetRequiredValue(ContractorOption.Option),
            Reason = parsed.GetRequiredValue(ReasonOption.Option),
            OperatorId = OperatorOption.Read(parsed),
        };
        return Change.RunAsync(
            parsed,
            request,
            () => Now.BindingAsync(call, request.ContractorId),
            () => call.Service.Operations.SuspendBindingAsync(request, cancellationToken: call.Cancellation).ResponseAsync);
    }
}
