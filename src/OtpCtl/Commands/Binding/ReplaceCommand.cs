using System.CommandLine;
using OtpAuthService.V1;

namespace OtpCtl.Commands.Binding;

internal static class ReplaceCommand
{
    private static readonly Option<string> Credential = new("--credential")
    {
        Description = "The ID (トークンID) of the credential that takes over, in any spelling.",
        HelpName = "id",
        Required = true,
    };

    public static Command Create()
    {
        var command = new Command(
            "replace",
            "端末変更: another credential takes over, with an OTP of the present one and then one of the new one. There is no moment without a credential; both OTPs are used up.")
        {
            ContractorOption.Option, Credential, ChannelOption.Option, TwoSubmittedOtps.Option, ApplyOption.Option, ServiceCall.RequestIdOption,
        };
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => ReplaceAsync(parsed, call), cancellation));
        return command.WithExample("otpctl binding replace --contractor K-1 --credential EFGH12345678 --apply");
    }

    private static Task<int> ReplaceAsync(ParseResult parsed, ServiceCall call)
    {
        var request = new ReplaceRequest
        {
            RequestId = call.RequestId,
            InstitutionId = call.Institution,
            ContractorId = parsed.GetRequiredValue(ContractorOption.Option),
            Channel = ChannelOption.Read(parsed),
            NewCredentialId = parsed.GetRequiredValue(Credential),
        };
        return Change.RunAsync(
            parsed,
            request,
            () => Now.RequirementAsync(call, request.ContractorId, request.Channel),
            async () =>
            {
                (request.CurrentOtp, request.NewOtp) = await TwoSubmittedOtps.ReadAsync(
                    parsed, "OTP of the present credential", "OTP of the new credential", call.Cancellation);
                return await call.Service.OtpAuth.ReplaceAsync(request, cancellationToken: call.Cancellation);
            },
            answer => ExitCode.Of(answer.Decision));
    }
}
