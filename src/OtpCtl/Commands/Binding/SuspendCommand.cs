using System.CommandLine;

namespace OtpCtl.Commands.Binding;

internal static class SuspendCommand
{
    public static Command Create()
    {
        var command = new Command("suspend", "利用停止: ends the contractor's use of OTPs, with an OTP of the credential to be stopped.")
        {
            ContractorOption.Option, ChannelOption.Option, SubmittedOtp.Option, ServiceCall.RequestIdOption,
        };
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => SuspendAsync(parsed, call), cancellation));
        return command;
    }

    private static async Task<int> SuspendAsync(ParseResult parsed, ServiceCall call)
    {
        var answer = await call.Service.OtpAuth.SuspendAsync(
            new()
            {
                RequestId = call.RequestId,
                InstitutionId = call.Institution,
                ContractorId = parsed.GetRequiredValue(ContractorOption.Option),
                Channel = ChannelOption.Read(parsed),
                Otp = await SubmittedOtp.ReadAsync(parsed, call.Cancellation),
            },
            cancellationToken: call.Cancellation);
        AnswerOutput.Write(parsed, answer);
        return ExitCode.Of(answer.Decision);
    }
}
