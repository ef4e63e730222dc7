using System.CommandLine;
using OtpAuthService.V1;

namespace OtpCtl.Commands.Binding;

internal static class ResynchronizeCommand
{
    public static Command Create()
    {
        var command = new Command(
            "resynchronize", "Learns how far a credential's clock is off, from an OTP and the one that it shows right after it. Both are used up.")
        {
            ContractorOption.Option, ChannelOption.Option, TwoSubmittedOtps.Option, ApplyOption.Option, ServiceCall.RequestIdOption,
        };
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => ResynchronizeAsync(parsed, call), cancellation));
        return command.WithExample("otpctl binding resynchronize --contractor K-1 --apply");
    }

    private static Task<int> ResynchronizeAsync(ParseResult parsed, ServiceCall call)
    {
        var request = new ResynchronizeRequest
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
                (request.FirstOtp, request.SecondOtp) = await TwoSubmittedOtps.ReadAsync(parsed, "OTP", "OTP shown next", call.Cancellation);
                return await call.Service.OtpAuth.ResynchronizeAsync(request, cancellationToken: call.Cancellation);
            },
            answer => ExitCode.Of(answer.Decision));
    }
}
