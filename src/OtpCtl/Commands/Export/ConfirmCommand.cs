using System.CommandLine;
using OtpAuthService.V1;

namespace OtpCtl.Commands.Export;

internal static class ConfirmCommand
{
    public static Command Create()
    {
        var command = new Command("confirm", "The second person's word: from then on the first one may fetch the export, once.")
        {
            ExportIdOption.Option, ReasonOption.Option, OperatorOption.Option, ApplyOption.Option, ServiceCall.RequestIdOption,
        };
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => ConfirmAsync(parsed, call), cancellation));
        return command.WithExample("otpctl export confirm --id 0f8fad5bd9cb469fa16570867728950e --operator m.ito --reason 'agreed by the board' --apply");
    }

    private static Task<int> ConfirmAsync(ParseResult parsed, ServiceCall call)
    {
        var request = new ConfirmExportRequest
        {
            RequestId = call.RequestId,
            InstitutionId = call.Institution,
            ExportId = parsed.GetRequiredValue(ExportIdOption.Option),
            Reason = parsed.GetRequiredValue(ReasonOption.Option),
            OperatorId = OperatorOption.Read(parsed),
        };
        return Change.RunAsync(
            parsed,
            request,
            Now.NotToldAsync,
            () => call.Service.Operations.ConfirmExportAsync(request, cancellationToken: call.Cancellation).ResponseAsync);
    }
}
