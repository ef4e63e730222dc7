using System.CommandLine;
using Grpc.Core;
using OtpAuthService.Client;

namespace OtpCtl;

/// <summary>What a command needs to call the service.</summary>
internal sealed record ServiceCall(OtpAuthChannel Service, string Institution, string RequestId, CancellationToken Cancellation)
{
    /// <summary>For commands that change something.</summary>
    public static readonly Option<string> RequestIdOption = new("--request-id")
    {
        Description = "Repeat an earlier request: the service answers as it did the first time. Default: a new random id.",
        HelpName = "id",
    };

    /// <summary>
    /// Runs a command and turns everything that can go wrong outside this program into a sentence on stderr and an exit code.
    /// </summary>
    public static async Task<int> RunAsync(ParseResult parsed, Func<ServiceCall, Task<int>> command, CancellationToken cancellation)
    {
        var errors = parsed.InvocationConfiguration.Error;
        var requestId = parsed.GetValue(RequestIdOption) ?? OtpAuthService.Client.RequestId.New();
        var address = parsed.GetRequiredValue(GlobalOptions.Address);
        try
        {
            using var service = OpenChannel(address);
            return await command(new(service, parsed.GetRequiredValue(GlobalOptions.Institution), requestId, cancellation));
        }
        catch (Exception e) when (e is UsageException or IOException or UnauthorizedAccessException)
        {
            errors.WriteLine($"otpctl: {e.Message}");
            return ExitCode.Usage;
        }
        catch (OperationCanceledException)
        {
            errors.WriteLine("otpctl: interrupted.");
            return ExitCode.Interrupted;
        }
        catch (RpcException) when (cancellation.IsCancellationRequested)
        {
            errors.WriteLine("otpctl: interrupted.");
            WriteRetryHint(parsed, requestId);
            return ExitCode.Interrupted;
        }
        catch (RpcException e) when (e.IsRefusal())
        {
            e.WriteTo(errors);
            return ExitCode.Refused;
        }
        catch (RpcException e)
        {
            errors.WriteLine($"otpctl: no result from the service at {address}.");
            e.WriteTo(errors);
            WriteRetryHint(parsed, requestId);
            return ExitCode.Unavailable;
        }
    }

    private static OtpAuthChannel OpenChannel(string address)
    {
        try
        {
            return OtpAuthChannel.Create(address);
        }
        catch (ArgumentException e)
        {
            throw new UsageException($"--address: {e.Message}");
        }
    }

    private static void WriteRetryHint(ParseResult parsed, string requestId)
    {
        if (parsed.CommandResult.Command.Options.Contains(RequestIdOption))
        {
            parsed.InvocationConfiguration.Error.WriteLine(
                $"The outcome is unknown. To send the same request again, within two minutes, add --request-id {requestId}");
        }
    }
}
