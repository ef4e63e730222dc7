using System.CommandLine;
using OtpAuthService.V1;

namespace OtpCtl.Commands.Binding;

internal static class ReportLostCommand
{
    private static readonly Option<string> Kind = new Option<string>("--kind")
    {
        Description = "What happened: 紛失, 盗難, アンインストール, or what the reason says.",
        Required = true,
    }.AcceptOnlyFromAmong("lost", "stolen", "uninstalled", "other");

    public static Command Create()
    {
        var command = new Command("report-lost", "Stops a contractor's lost credential at once, on every replica.")
        {
            ContractorOption.Option, Kind, ReasonOption.Option, OperatorOption.Option, ApplyOption.Option, ServiceCall.RequestIdOption,
        };
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => ReportAsync(parsed, call), cancellation));
        return command.WithExample("otpctl binding report-lost --contractor K-1 --kind stolen --reason 'called the help desk' --apply");
    }

    private static Task<int> ReportAsync(ParseResult parsed, ServiceCall call)
    {
        var request = new ReportLostRequest
        {
            RequestId = call.RequestId,
            InstitutionId = call.Institution,
            ContractorId = parsed.GetRequiredValue(ContractorOption.Option),
            Kind = KindOf(parsed.GetRequiredValue(Kind)),
            Reason = parsed.GetRequiredValue(ReasonOption.Option),
            OperatorId = OperatorOption.Read(parsed),
        };
        return Change.RunAsync(
            parsed,
            request,
            () => Now.BindingAsync(call, request.ContractorId),
            () => call.Service.Operations.ReportLostAsync(request, cancellationToken: call.Cancellation).ResponseAsync);
    }

    private static LossKind KindOf(string text) => text switch
    {
        "lost" => LossKind.Lost,
        "stolen" => LossKind.Stolen,
        "uninstalled" => LossKind.Uninstalled,
        "other" => LossKind.Other,
        _ => throw new ArgumentOutOfRangeException(nameof(text), text, "Not a kind of loss."),
    };
}
