using System.CommandLine;

namespace OtpCtl.Commands.Binding;

/// <summary>The OTP that a command submits. It is passed on as typed: what an OTP may look like is the service's decision.</summary>
internal static class SubmittedOtp
{
    public static readonly Option<string> Option = new("--otp")
    {
        Description = "The digits shown. Default: asked for without echo on a terminal, otherwise one line of stdin "
            + "(arguments can be read by other users of this machine).",
        HelpName = "digits",
    };

    public static async Task<string> ReadAsync(ParseResult parsed, CancellationToken cancellation) =>
        parsed.GetValue(Option) ?? await SecretInput.ReadLineAsync("OTP", cancellation);
}
