using System.CommandLine;

namespace OtpCtl.Commands.Binding;

/// <summary>
/// The OTP that a command submits, never as an argument: those can be read by other users of the machine, and stay in the shell's history. It is passed
/// on as typed: what an OTP may look like is the service's decision.
/// </summary>
internal static class SubmittedOtp
{
    public static readonly Option<FileInfo> Option = new Option<FileInfo>("--otp-file")
    {
        Description = "A file with the digits shown. Default: asked for without echo on a terminal, otherwise one line of stdin.",
        HelpName = "file",
    }.AcceptExistingOnly();

    public static async Task<string> ReadAsync(ParseResult parsed, CancellationToken cancellation) => parsed.GetValue(Option) is { } file
        ? (await File.ReadAllTextAsync(file.FullName, cancellation)).TrimEnd('\r', '\n')
        : await SecretInput.ReadLineAsync("OTP", cancellation);
}
