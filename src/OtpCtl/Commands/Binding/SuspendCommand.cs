using System.CommandLine;
using OtpAuthService.V1;

namespace OtpCtl.Commands.Binding;

internal static class SuspendCommand
{
    public static Command Create()
    {
        var command = new Command("suspend", "利用停止: ends the contractor's use of OTPs, with an OTP of the credential to be stopped.")
        {
            ContractorOption.Option, ChannelOption.Option, SubmittedOtp.Option, ApplyOption.Option, ServiceCall.RequestIdOption,
        };
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => SuspendAsync(parsed, call), cancellation));
        return command.WithExample("otpctl binding suspend --contractor K-1 --apply");
    }

    private static Task<int> SuspendAsync(ParseResult parsed, ServiceCall call)
    {
        var request = new SuspendRequest
        {
            RequestId = call.RequestId,
            InstitutionId = call.Institution,
            ContractorId = parsed.GetRequiredValue(ContractorOption.Option),
            Channel = ChannelOption.Read(parsed),
        };
        return Change.RunAsync(
            parsed,
            request,
            () => Now.RequirementAsync(call, request.ContractorId, request.Channel),
            async () =>
            {
                request.Otp = await SubmittedOtp.ReadAsync(parsed, call.Cancellation);
                return await call.Service.OtpAuth.SuspendAsync(request, cancellationToken: call.Cancellation);
            },
            answer => ExitCode.Of(answer.Decision));
    }
}
