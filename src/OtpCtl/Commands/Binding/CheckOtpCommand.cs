using System.CommandLine;
using OtpAuthService.V1;

namespace OtpCtl.Commands.Binding;

internal static class CheckOtpCommand
{
    public static Command Create()
    {
        var command = new Command(
            "check-otp",
            "Tells whether an OTP would be taken, and how far the credential's clock is off. It uses and counts nothing of the contractor's, and works while locked. Exits with 1 where the outcome is not ACCEPTED.")
        {
            ContractorOption.Option, SubmittedOtp.Option, ReasonOption.Option, OperatorOption.Option, ServiceCall.RequestIdOption,
        };
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => CheckAsync(parsed, call), cancellation));
        return command.WithExample("otpctl binding check-otp --contractor K-1 --reason 'cannot log in'");
    }

    private static async Task<int> CheckAsync(ParseResult parsed, ServiceCall call)
    {
        var answer = await call.Service.Operations.CheckOtpAsync(
            new()
            {
                RequestId = call.RequestId,
                InstitutionId = call.Institution,
                ContractorId = parsed.GetRequiredValue(ContractorOption.Option),
                Otp = await SubmittedOtp.ReadAsync(parsed, call.Cancellation),
                Reason = parsed.GetRequiredValue(ReasonOption.Option),
                OperatorId = OperatorOption.Read(parsed),
            },
            cancellationToken: call.Cancellation);
        AnswerOutput.Write(parsed, answer);
        return answer.Outcome == Outcome.Accepted ? ExitCode.Success : ExitCode.Denied;
    }
}
