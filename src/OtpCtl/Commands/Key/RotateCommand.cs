using System.CommandLine;
using OtpAuthService.V1;

namespace OtpCtl.Commands.Key;

internal static class RotateCommand
{
    // Not the 3 s of other calls: a new key is wrapped by a KEK provider that may be across a network.
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    private static readonly Option<string> Kind = new Option<string>("--kind")
    {
        Description = "The data key: credentials are wrapped anew in the background, see key status. "
            + "The KEK: data keys are wrapped anew at once, under the newest version that its provider has.",
        Required = true,
    }.AcceptOnlyFromAmong("data-key", "kek");

    public static Command Create()
    {
        var command = new Command("rotate", "Replaces the key that wraps credential keys, or the one that wraps that; OTPs are decided on all the while.")
        {
            Kind, ReasonOption.Option, OperatorOption.Option, ApplyOption.Option, ServiceCall.RequestIdOption,
        };
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => RotateAsync(parsed, call), cancellation));
        return command.WithExample("otpctl key rotate --kind data-key --reason yearly --apply");
    }

    private static Task<int> RotateAsync(ParseResult parsed, ServiceCall call)
    {
        var request = new RotateKeysRequest
        {
            RequestId = call.RequestId,
            InstitutionId = call.Institution,
            Kind = KindOf(parsed.GetRequiredValue(Kind)),
            Reason = parsed.GetRequiredValue(ReasonOption.Option),
            OperatorId = OperatorOption.Read(parsed),
        };
        return Change.RunAsync(
            parsed,
            request,
            () => Now.KeysAsync(call),
            () => call.Service.Operations.RotateKeysAsync(request, deadline: (TimeProvider.System.GetUtcNow() + Deadline).UtcDateTime, cancellationToken: call.Cancellation).ResponseAsync);
    }

    private static KeyKind KindOf(string text) => text switch
    {
        "data-key" => KeyKind.DataKey,
        "kek" => KeyKind.Kek,
        _ => throw new ArgumentOutOfRangeException(nameof(text), text, "Not a kind of key."),
    };
}
