using System.CommandLine;

namespace OtpCtl.Commands.Supplier;

internal static class ListCommand
{
    public static Command Create()
    {
        var command = new Command("list", "Lists the suppliers of credentials, how many each made, and until when these are taken.");
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => ListAsync(parsed, call), cancellation));
        return command.WithExample("otpctl supplier list");
    }

    private static async Task<int> ListAsync(ParseResult parsed, ServiceCall call)
    {
        AnswerOutput.Write(
            parsed, await call.Service.Operations.GetSuppliersAsync(new() { InstitutionId = call.Institution }, cancellationToken: call.Cancellation));
        return ExitCode.Success;
    }
}
