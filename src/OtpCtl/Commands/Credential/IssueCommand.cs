using System.CommandLine;
using OtpAuthService.V1;

namespace OtpCtl.Commands.Credential;

internal static class IssueCommand
{
    private static readonly Option<int> Digits = new Option<int>("--digits")
    {
        Description = "Digits of an OTP.",
        DefaultValueFactory = _ => 6,
    }.AcceptOnlyFromAmong("6", "8");

    private static readonly Option<int> Period = new Option<int>("--period")
    {
        Description = "Seconds a time step lasts.",
        DefaultValueFactory = _ => 30,
    }.AcceptOnlyFromAmong("30", "60");

    private static readonly Option<string> Algorithm = new Option<string>("--algorithm")
    {
        Description = "The hash function; token programs differ in what they know besides sha1.",
        DefaultValueFactory = _ => "sha1",
    }.AcceptOnlyFromAmong("sha1", "sha256", "sha512");

    private static readonly Option<bool> NoQr = new("--no-qr") { Description = "Print no QR code. Without a terminal none is printed." };

    public static Command Create()
    {
        var command = new Command("issue", "Makes a credential and prints its ID and, this once, its key as an otpauth URI and QR code.")
        {
            Digits, Period, Algorithm, NoQr, OperatorOption.Option, ApplyOption.Option, ServiceCall.RequestIdOption,
        };
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => IssueAsync(parsed, call), cancellation));
        return command.WithExample("otpctl credential issue --digits 6 --apply");
    }

    private static Task<int> IssueAsync(ParseResult parsed, ServiceCall call)
    {
        var request = new IssueCredentialRequest
        {
            RequestId = call.RequestId,
            InstitutionId = call.Institution,
            Digits = parsed.GetValue(Digits),
            PeriodSeconds = parsed.GetValue(Period),
            Algorithm = ReadAlgorithm(parsed),
            OperatorId = OperatorOption.Read(parsed),
        };
        return Change.RunAsync(
            parsed,
            request,
            Now.NothingAsync,
            () => call.Service.Operations.IssueCredentialAsync(request, cancellationToken: call.Cancellation).ResponseAsync,
            answer => Draw(parsed, answer));
    }

    private static int Draw(ParseResult parsed, IssueCredentialResponse answer)
    {
        if (AnswerOutput.IsForPeople(parsed) && !parsed.GetValue(NoQr))
        {
            QrCode.Draw(parsed.InvocationConfiguration.Output, answer.OtpauthUri);
        }

        return ExitCode.Success;
    }

    private static Algorithm ReadAlgorithm(ParseResult parsed) => parsed.GetRequiredValue(Algorithm) switch
    {
        "sha1" => OtpAuthService.V1.Algorithm.Sha1,
        "sha256" => OtpAuthService.V1.Algorithm.Sha256,
        "sha512" => OtpAuthService.V1.Algorithm.Sha512,
        var other => throw new ArgumentOutOfRangeException(nameof(parsed), other, "Not an algorithm."),
    };
}
