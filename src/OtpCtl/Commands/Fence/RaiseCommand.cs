using System.CommandLine;
using Google.Protobuf.WellKnownTypes;
using OtpCtl.Commands.Audit;

namespace OtpCtl.Commands.Fence;

internal static class RaiseCommand
{
    // Not the 3 s of other calls: it waits for decisions under way, and looks through all contractors for temporary OTPs.
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(10);

    private static readonly Option<DateTimeOffset?> Until = MomentOption.Create(
        "--until",
        "Every OTP of a time step up to then is refused; at most 1 hour from now. Default: as far ahead as an OTP can have been accepted by now, 2 to 3 minutes.");

    private static readonly Option<bool> Apply = new("--apply")
    {
        Description = "Do it. Without it the fence is shown as it is, and nothing is changed.",
    };

    public static Command Create()
    {
        var command = new Command("raise", "After the database has lost commits: refuses every OTP that may have been accepted before, at every institution. It cannot be taken back.")
        {
            Until, Apply, ReasonOption.Option, OperatorOption.Option, ServiceCall.RequestIdOption,
        };
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => RaiseAsync(parsed, call), cancellation));
        return command;
    }

    private static async Task<int> RaiseAsync(ParseResult parsed, ServiceCall call)
    {
        if (!parsed.GetValue(Apply))
        {
            parsed.InvocationConfiguration.Error.WriteLine("otpctl: nothing was changed; this is the fence in force. Add --apply to raise it: nobody at any institution is let in with an OTP below it.");
            return await ShowCommand.ShowAsync(parsed, call);
        }

        AnswerOutput.Write(parsed, await call.Service.Operations.RaiseFenceAsync(
            new()
            {
                RequestId = call.RequestId,
                InstitutionId = call.Institution,
                Until = parsed.GetValue(Until)?.ToTimestamp(),
                Reason = parsed.GetRequiredValue(ReasonOption.Option),
                OperatorId = OperatorOption.Read(parsed),
            },
            deadline: (TimeProvider.System.GetUtcNow() + Deadline).UtcDateTime,
            cancellationToken: call.Cancellation));
        return ExitCode.Success;
    }
}
