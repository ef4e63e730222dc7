using System.CommandLine;
using OtpAuthService.V1;

namespace OtpCtl.Commands.Binding;

internal static class ResumeCommand
{
    public static Command Create()
    {
        var command = new Command("resume", "Ends the bank's own stop; what the contractor had registered works again.")
        {
            ContractorOption.Option, ReasonOption.Option, OperatorOption.Option, ApplyOption.Option, ServiceCall.RequestIdOption,
        };
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => ResumeAsync(parsed, call), cancellation));
        return command.WithExample("otpctl binding resume --contractor K-1 --reason 'account released' --apply");
    }

    private static Task<int> ResumeAsync(ParseResult parsed, ServiceCall call)
    {
        var request = new ResumeBindingRequest
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
            () => call.Service.Operations.ResumeBindingAsync(request, cancellationToken: call.Cancellation).ResponseAsync);
    }
}
