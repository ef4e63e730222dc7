using System.CommandLine;

namespace OtpCtl.Commands.Credential;

internal static class ShowCommand
{
    private static readonly Argument<string> Id = new("ID") { Description = "The credential ID (トークンID), in any spelling." };

    public static Command Create()
    {
        var command = new Command("show", "Shows a credential, without its key, and who uses it at this institution.") { Id };
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => ShowAsync(parsed, call), cancellation));
        return command.WithExample("otpctl credential show ABCD12345678");
    }

    private static async Task<int> ShowAsync(ParseResult parsed, ServiceCall call)
    {
        var answer = await call.Service.Operations.GetCredentialAsync(
            new() { InstitutionId = call.Institution, CredentialId = parsed.GetRequiredValue(Id) },
            cancellationToken: call.Cancellation);
        AnswerOutput.Write(parsed, answer);
        return ExitCode.Success;
    }
}
