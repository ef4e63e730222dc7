using System.CommandLine;
using OtpAuthService.V1;

namespace OtpCtl.Commands.Binding;

internal static class VerifyCommand
{
    private static readonly Option<string> PurposeOption = new Option<string>("--purpose")
    {
        Description = "What the OTP approves.",
        DefaultValueFactory = _ => "login",
    }.AcceptOnlyFromAmong("login", "transfer", "settings");

    public static Command Create()
    {
        var command = new Command("verify", "Decides on an OTP of the contractor's credential and uses it up.")
        {
            ContractorOption.Option, ChannelOption.Option, PurposeOption, SubmittedOtp.Option, ServiceCall.RequestIdOption,
        };
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => VerifyAsync(parsed, call), cancellation));
        return command.WithExample("otpctl binding verify --contractor K-1 --purpose transfer");
    }

    private static async Task<int> VerifyAsync(ParseResult parsed, ServiceCall call)
    {
        var answer = await call.Service.OtpAuth.VerifyAsync(
            new()
            {
                RequestId = call.RequestId,
                InstitutionId = call.Institution,
                ContractorId = parsed.GetRequiredValue(ContractorOption.Option),
                Channel = ChannelOption.Read(parsed),
                Purpose = ReadPurpose(parsed),
                Otp = await SubmittedOtp.ReadAsync(parsed, call.Cancellation),
            },
            cancellationToken: call.Cancellation);
        AnswerOutput.Write(parsed, answer);
        return ExitCode.Of(answer.Decision);
    }

    private static Purpose ReadPurpose(ParseResult parsed) => parsed.GetRequiredValue(PurposeOption) switch
    {
        "login" => Purpose.Login,
        "transfer" => Purpose.Transfer,
        "settings" => Purpose.SettingsChange,
        var other => throw new ArgumentOutOfRangeException(nameof(parsed), other, "Not a purpose."),
    };
}
