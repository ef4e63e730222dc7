using System.CommandLine;
using Google.Protobuf.WellKnownTypes;
using OtpAuthService.V1;

namespace OtpCtl.Commands.Binding;

internal static class IssueTemporaryOtpCommand
{
    private static readonly Option<TimeSpan?> ValidFor = SpanOption.Create("--valid-for", "How long it can be used; 10m to 72h. Default: the service's, 4h.");

    private static readonly Option<int> Uses = new Option<int>("--uses") { Description = "How many times it can be used. Default: the service's, once." }
        .AcceptOnlyFromAmong("1", "2", "3", "4", "5");

    public static Command Create()
    {
        var command = new Command("issue-temporary-otp", "Makes a temporary OTP for a contractor who was identified by other means, and prints it this once: for verify only, and the one before is void.")
        {
            ContractorOption.Option, ValidFor, Uses, ReasonOption.Option, OperatorOption.Option, ApplyOption.Option, ServiceCall.RequestIdOption,
        };
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => IssueAsync(parsed, call), cancellation));
        return command.WithExample("otpctl binding issue-temporary-otp --contractor K-1 --valid-for 4h --uses 2 --reason 'the phone is at home' --apply");
    }

    private static Task<int> IssueAsync(ParseResult parsed, ServiceCall call)
    {
        var request = new IssueTemporaryOtpRequest
        {
            RequestId = call.RequestId,
            InstitutionId = call.Institution,
            ContractorId = parsed.GetRequiredValue(ContractorOption.Option),
            ValidFor = parsed.GetValue(ValidFor)?.ToDuration(),
            Uses = parsed.GetValue(Uses),
            Reason = parsed.GetRequiredValue(ReasonOption.Option),
            OperatorId = OperatorOption.Read(parsed),
        };
        return Change.RunAsync(
            parsed,
            request,
            () => Now.BindingAsync(call, request.ContractorId),
            () => call.Service.Operations.IssueTemporaryOtpAsync(request, cancellationToken: call.Cancellation).ResponseAsync);
    }
}
