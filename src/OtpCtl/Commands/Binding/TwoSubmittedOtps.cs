using System.CommandLine;

namespace OtpCtl.Commands.Binding;

/// <summary>Two OTPs that a command submits together, as <see cref="SubmittedOtp"/> is one.</summary>
internal static class TwoSubmittedOtps
{
    public static readonly Option<FileInfo> Option = new Option<FileInfo>("--otp-file")
    {
        Description = "A file with both, a line each. Default: asked for without echo on a terminal, otherwise two lines of stdin.",
        HelpName = "file",
    }.AcceptExistingOnly();

    /// <exception cref="UsageException">There are not two.</exception>
    public static async Task<(string First, string Second)> ReadAsync(
        ParseResult parsed, string first, string second, CancellationToken cancellation)
    {
        if (parsed.GetValue(Option) is not { } file)
        {
            return (await SecretInput.ReadLineAsync(first, cancellation), await SecretInput.ReadLineAsync(second, cancellation));
        }

        return await File.ReadAllLinesAsync(file.FullName, cancellation) is [var one, var other]
            ? (one, other)
            : throw new UsageException($"'{file.Name}' does not have two lines.");
    }
}
