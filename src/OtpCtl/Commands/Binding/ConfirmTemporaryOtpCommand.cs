using System.CommandLine;
using Google.Protobuf.WellKnownTypes;
using OtpAuthService.V1;
using OtpCtl.Commands.Audit;

namespace OtpCtl.Commands.Binding;

internal static class ConfirmTemporaryOtpCommand
{
    private static readonly Option<DateTimeOffset?> ExpiresAt = MomentOption.Create(
        "--expires-at",
        "Until when the one that is meant can be used, as issue-temporary-otp and show print it: another one that was issued since is not confirmed.",
        required: true);

    private static readonly Option<int> Uses = new Option<int>("--uses") { Description = "How many times it can be used, likewise.", DefaultValueFactory = _ => 1 }
        .AcceptOnlyFromAmong("1", "2", "3", "4", "5");

    public static Command Create()
    {
        var command = new Command("confirm-temporary-otp", "The second person's word, where the institution's policy asks for two: from then on the temporary OTP is taken.")
        {
            ContractorOption.Option, ExpiresAt, Uses, ReasonOption.Option, OperatorOption.Option, ApplyOption.Option, ServiceCall.RequestIdOption,
        };
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => ConfirmAsync(parsed, call), cancellation));
        return command.WithExample("otpctl binding confirm-temporary-otp --contractor K-1 --expires-at 2026-04-01T13:00:00.000Z --uses 2 --operator m.ito --reason 'called back' --apply");
    }

    private static Task<int> ConfirmAsync(ParseResult parsed, ServiceCall call)
    {
        var request = new ConfirmTemporaryOtpRequest
        {
            RequestId = call.RequestId,
            InstitutionId = call.Institution,
            ContractorId = parsed.GetRequiredValue(ContractorOption.Option),
            ExpiresAt = parsed.GetValue(ExpiresAt)!.Value.ToTimestamp(),
            Uses = parsed.GetValue(Uses),
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
