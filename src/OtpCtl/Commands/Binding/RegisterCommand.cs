using System.CommandLine;
using OtpAuthService.V1;

namespace OtpCtl.Commands.Binding;

internal static class RegisterCommand
{
    private static readonly Option<string> Credential = new("--credential")
    {
        Description = "The credential ID (トークンID), in any spelling.",
        HelpName = "id",
        Required = true,
    };

    public static Command Create()
    {
        var command = new Command("register", "利用登録: binds a credential to a contractor. The OTP is used up by it.")
        {
            ContractorOption.Option, Credential, ChannelOption.Option, SubmittedOtp.Option, ApplyOption.Option, ServiceCall.RequestIdOption,
        };
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => RegisterAsync(parsed, call), cancellation));
        return command.WithExample("otpctl binding register --contractor K-1 --credential ABCD12345678 --apply");
    }

    private static Task<int> RegisterAsync(ParseResult parsed, ServiceCall call)
    {
        var request = new RegisterRequest
        {
            RequestId = call.RequestId,
            InstitutionId = call.Institution,
            ContractorId = parsed.GetRequiredValue(ContractorOption.Option),
            Channel = ChannelOption.Read(parsed),
            CredentialId = parsed.GetRequiredValue(Credential),
        };
        return Change.RunAsync(
            parsed,
            request,
            () => Now.RequirementAsync(call, request.ContractorId, request.Channel),
            async () =>
            {
                request.Otp = await SubmittedOtp.ReadAsync(parsed, call.Cancellation);
                return await call.Service.OtpAuth.RegisterAsync(request, cancellationToken: call.Cancellation);
            },
            answer => ExitCode.Of(answer.Decision));
    }
}
