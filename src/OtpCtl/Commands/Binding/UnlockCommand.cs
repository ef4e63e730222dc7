using System.CommandLine;
using OtpAuthService.V1;

namespace OtpCtl.Commands.Binding;

internal static class UnlockCommand
{
    public static Command Create()
    {
        var command = new Command("unlock", "Ends a lockout and clears the count of wrong OTPs, at once and on every replica.")
        {
            ContractorOption.Option, ReasonOption.Option, OperatorOption.Option, ApplyOption.Option, ServiceCall.RequestIdOption,
        };
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => UnlockAsync(parsed, call), cancellation));
        return command.WithExample("otpctl binding unlock --contractor K-1 --reason 'mistyped, called back' --apply");
    }

    private static Task<int> UnlockAsync(ParseResult parsed, ServiceCall call)
    {
        var request = new UnlockRequest
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
            () => call.Service.Operations.UnlockAsync(request, cancellationToken: call.Cancellation).ResponseAsync);
    }
}
