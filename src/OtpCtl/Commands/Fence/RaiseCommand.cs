using System.CommandLine;
using Google.Protobuf.WellKnownTypes;
using OtpAuthService.V1;
using OtpCtl.Commands.Audit;

namespace OtpCtl.Commands.Fence;

internal static class RaiseCommand
{
    // Not the 3 s of other calls: it waits for decisions under way, and looks through all contractors for temporary OTPs.
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(10);

    private static readonly Option<DateTimeOffset?> Until = MomentOption.Create(
        "--until",
        "Every OTP of a time step up to then is refused; at most 1 hour from now. Default: as far ahead as an OTP can have been accepted by now, 2 to 3 minutes.");

    public static Command Create()
    {
        var command = new Command("raise", "After the database has lost commits: refuses every OTP that may have been accepted before, at every institution. It cannot be taken back.")
        {
            Until, ReasonOption.Option, OperatorOption.Option, ApplyOption.Option, ServiceCall.RequestIdOption,
        };
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => RaiseAsync(parsed, call), cancellation));
        return command.WithExample("otpctl fence raise --reason 'restored the backup of 02:00' --apply");
    }

    private static Task<int> RaiseAsync(ParseResult parsed, ServiceCall call)
    {
        var request = new RaiseFenceRequest
        {
            RequestId = call.RequestId,
            InstitutionId = call.Institution,
            Until = parsed.GetValue(Until)?.ToTimestamp(),
            Reason = parsed.GetRequiredValue(ReasonOption.Option),
            OperatorId = OperatorOption.Read(parsed),
        };
        return Change.RunAsync(
            parsed,
            request,
            () => Now.FenceAsync(call),
            () => call.Service.Operations.RaiseFenceAsync(
                request, deadline: (TimeProvider.System.GetUtcNow() + Deadline).UtcDateTime, cancellationToken: call.Cancellation).ResponseAsync);
    }
}
