using System.CommandLine;
using OtpAuthService.V1;

namespace OtpCtl.Commands.Binding;

internal static class ConfirmTemporaryOtpCommand
{
    public static Command Create()
    {
        var command = new Command("confirm-temporary-otp", "The second person's word, where the institution's policy asks for two: from then on the temporary OTP is taken.")
        {
            ContractorOption.Option, ReasonOption.Option, OperatorOption.Option, ApplyOption.Option, ServiceCall.RequestIdOption,
        };
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => ConfirmAsync(parsed, call), cancellation));
        return command.WithExample("otpctl binding confirm-temporary-otp --contractor K-1 --operator m.ito --reason 'called back' --apply");
    }

    private static Task<int> ConfirmAsync(ParseResult parsed, ServiceCall call)
    {
        var request = new ConfirmTemporaryOtpRequest
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
            () => call.Service.Operations.ConfirmTemporaryOtpAsync(request, cancellationToken: call.Cancellation).ResponseAsync);
    }
}
