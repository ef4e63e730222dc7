using System.CommandLine;

namespace OtpCtl;

/// <summary>Everything that can go wrong outside this program becomes a sentence on stderr and an exit code.</summary>
internal static class Failures
{
    public static async Task<int> ReportAsync(ParseResult parsed, Func<Task<int>> work)
    {
        var errors = parsed.InvocationConfiguration.Error;
        try
        {
            return await work();
        }
        catch (Exception e) when (e is UsageException or IOException or UnauthorizedAccessException && !e.IsWithoutReader())
        {
            errors.WriteLine($"otpctl: {e.Message}");
            return ExitCode.Usage;
        }
        catch (OperationCanceledException)
        {
            errors.WriteLine("otpctl: interrupted.");
            return ExitCode.Interrupted;
        }
    }
}
