using System.CommandLine;
using OtpAuthService.V1;

namespace OtpCtl.Commands.Binding;

internal static class BypassCommand
{
    private static readonly Option<bool> Never = new("--never") { Description = "The contractor is never to be answered without an OTP." };

    private static readonly Option<bool> Allow = new("--allow") { Description = "The callers' grants decide again." };

    public static Command Create()
    {
        var command = new Command("bypass", "Sets a contractor's own wish about モバイルIB: never without an OTP, or as the callers' grants say.")
        {
            ContractorOption.Option, Never, Allow, ReasonOption.Option, OperatorOption.Option, ApplyOption.Option, ServiceCall.RequestIdOption,
        };
        command.Validators.Add(result =>
        {
            if (result.GetValue(Never) == result.GetValue(Allow))
            {
                result.AddError("One of --never and --allow is needed.");
            }
        });
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => SetAsync(parsed, call), cancellation));
        return command.WithExample("otpctl binding bypass --contractor K-1 --never --reason 'asked at the counter' --apply");
    }

    private static Task<int> SetAsync(ParseResult parsed, ServiceCall call)
    {
        var request = new SetBypassOptOutRequest
        {
            RequestId = call.RequestId,
            InstitutionId = call.Institution,
            ContractorId = parsed.GetRequiredValue(ContractorOption.Option),
            NeverBypass = parsed.GetValue(Never),
            Reason = parsed.GetRequiredValue(ReasonOption.Option),
            OperatorId = OperatorOption.Read(parsed),
        };
        return Change.RunAsync(
            parsed,
            request,
            () => Now.BindingAsync(call, request.ContractorId),
            () => call.Service.Operations.SetBypassOptOutAsync(request, cancellationToken: call.Cancellation).ResponseAsync);
    }
}
