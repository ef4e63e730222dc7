using System.CommandLine;
using Google.Protobuf.WellKnownTypes;
using OtpAuthService.V1;

namespace OtpCtl.Commands.Binding;

internal static class OpenReregistrationCommand
{
    private static readonly Option<TimeSpan?> ValidFor = SpanOption.Create(
        "--valid-for", "How long another credential may be registered; 10m to 7d. Default: the service's, 24h.");

    public static Command Create()
    {
        var command = new Command("open-reregistration", "After a loss, the contractor having been identified: another credential may be registered, for a limited time.")
        {
            ContractorOption.Option, ValidFor, ReasonOption.Option, OperatorOption.Option, ApplyOption.Option, ServiceCall.RequestIdOption,
        };
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => OpenAsync(parsed, call), cancellation));
        return command.WithExample("otpctl binding open-reregistration --contractor K-1 --valid-for 24h --reason 'came to the branch with a passport' --apply");
    }

    private static Task<int> OpenAsync(ParseResult parsed, ServiceCall call)
    {
        var request = new OpenReregistrationRequest
        {
            RequestId = call.RequestId,
            InstitutionId = call.Institution,
            ContractorId = parsed.GetRequiredValue(ContractorOption.Option),
            ValidFor = parsed.GetValue(ValidFor)?.ToDuration(),
            Reason = parsed.GetRequiredValue(ReasonOption.Option),
            OperatorId = OperatorOption.Read(parsed),
        };
        return Change.RunAsync(
            parsed,
            request,
            () => Now.BindingAsync(call, request.ContractorId),
            () => call.Service.Operations.OpenReregistrationAsync(request, cancellationToken: call.Cancellation).ResponseAsync);
    }
}
