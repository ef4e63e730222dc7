using System.CommandLine;
using System.Text;
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

    private static readonly Option<FileInfo> Png = new("--png")
    {
        Description = "Also write the QR code to this file, as PNG. It holds the key: its owner alone can read it; a file that is there is not overwritten.",
        HelpName = "file",
    };

    private static readonly Option<FileInfo> Svg = new("--svg") { Description = "Likewise, as SVG.", HelpName = "file" };

    public static Command Create()
    {
        var command = new Command("issue", "Makes a credential and prints its ID and, this once, its key as an otpauth URI and QR code.")
        {
            Digits, Period, Algorithm, NoQr, Png, Svg, OperatorOption.Option, ApplyOption.Option, ServiceCall.RequestIdOption,
        };
        SecretFile.RefuseExisting(command, Png);
        SecretFile.RefuseExisting(command, Svg);
        command.Validators.Add(result =>
        {
            if (result.GetValue(Png) is { } png && png.FullName == result.GetValue(Svg)?.FullName)
            {
                result.AddError("--png and --svg name the same file.");
            }
        });
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => IssueAsync(parsed, call), cancellation));
        return command.WithExample("otpctl credential issue --digits 6 --apply");
    }

    private static async Task<int> IssueAsync(ParseResult parsed, ServiceCall call)
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
        // Before the key is handed out: whoever cannot write it there has to know first.
        using var png = Open(parsed, Png);
        using var svg = Open(parsed, Svg);
        Exception? unwritten = null;
        return await Change.RunAsync(
            parsed,
            request,
            Now.NothingAsync,
            async () =>
            {
                var issued = await call.Service.Operations.IssueCredentialAsync(request, cancellationToken: call.Cancellation);
                // Before it is printed: whoever reads that may leave early.
                unwritten = Write(issued, png, svg);
                return issued;
            },
            answer =>
            {
                Draw(parsed, answer);
                return unwritten is null ? ExitCode.Success : Report(parsed, call, unwritten);
            });
    }

    private static SecretFile? Open(ParseResult parsed, Option<FileInfo> option) =>
        parsed.GetValue(ApplyOption.Option) && parsed.GetValue(option) is { } file ? SecretFile.Create(file) : null;

    private static void Draw(ParseResult parsed, IssueCredentialResponse answer)
    {
        if (AnswerOutput.IsForPeople(parsed) && !parsed.GetValue(NoQr))
        {
            QrCode.Draw(parsed.InvocationConfiguration.Output, answer.OtpauthUri);
        }
    }

    private static Exception? Write(IssueCredentialResponse answer, SecretFile? png, SecretFile? svg)
    {
        try
        {
            png?.Keep(QrCode.Png(answer.OtpauthUri));
            svg?.Keep(Encoding.UTF8.GetBytes(QrCode.Svg(answer.OtpauthUri)));
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return e;
        }
    }

    private static int Report(ParseResult parsed, ServiceCall call, Exception unwritten)
    {
        var errors = parsed.InvocationConfiguration.Error;
        errors.WriteLine($"otpctl: {unwritten.Message}");
        errors.WriteLine($"The credential was made. To write its QR code elsewhere, within two minutes, add --request-id {call.RequestId}");
        return ExitCode.Unavailable;
    }

    private static Algorithm ReadAlgorithm(ParseResult parsed) => parsed.GetRequiredValue(Algorithm) switch
    {
        "sha1" => OtpAuthService.V1.Algorithm.Sha1,
        "sha256" => OtpAuthService.V1.Algorithm.Sha256,
        "sha512" => OtpAuthService.V1.Algorithm.Sha512,
        var other => throw new ArgumentOutOfRangeException(nameof(parsed), other, "Not an algorithm."),
    };
}
