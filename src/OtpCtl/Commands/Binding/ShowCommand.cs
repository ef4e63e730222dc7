using System.CommandLine;

namespace OtpCtl.Commands.Binding;

internal static class ShowCommand
{
    public static Command Create()
    {
        var command = new Command("show", "Shows a contractor's bindings, newest first, the count of wrong OTPs and a lockout.")
        {
            ContractorOption.Option,
        };
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => ShowAsync(parsed, call), cancellation));
        return command.WithExample("otpctl binding show --contractor K-1 --json");
    }

    private static async Task<int> ShowAsync(ParseResult parsed, ServiceCall call)
    {
        var answer = await call.Service.Operations.GetBindingAsync(
            new() { InstitutionId = call.Institution, ContractorId = parsed.GetRequiredValue(ContractorOption.Option) },
            cancellationToken: call.Cancellation);
        AnswerOutput.Write(parsed, answer);
        return ExitCode.Success;
    }
}
