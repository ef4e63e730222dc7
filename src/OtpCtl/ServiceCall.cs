using System.CommandLine;
using System.Security.Authentication;
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

    /// <summary>Runs a command against the service; see <see cref="Failures"/>.</summary>
    public static Task<int> RunAsync(ParseResult parsed, Func<ServiceCall, Task<int>> command, CancellationToken cancellation) => Failures.ReportAsync(
        parsed,
        async () =>
        {
            var requestId = parsed.GetValue(RequestIdOption) ?? OtpAuthService.Client.RequestId.New();
            using var service = OpenChannel(parsed);
            return await SendAsync(parsed, new(service, parsed.GetRequiredValue(GlobalOptions.Institution), requestId, cancellation), command);
        });

    private static async Task<int> SendAsync(ParseResult parsed, ServiceCall call, Func<ServiceCall, Task<int>> command)
    {
        var errors = parsed.InvocationConfiguration.Error;
        try
        {
            return await command(call);
        }
        catch (RpcException) when (call.Cancellation.IsCancellationRequested)
        {
            errors.WriteLine("otpctl: interrupted.");
            WriteWhatIsKnown(parsed, call);
            return ExitCode.Interrupted;
        }
        catch (RpcException e) when (e.IsRefusal())
        {
            e.WriteTo(errors);
            return ExitCode.Refused;
        }
        catch (RpcException e)
        {
            errors.WriteLine($"otpctl: no result from the service at {parsed.GetRequiredValue(GlobalOptions.Address)}.");
            e.WriteTo(errors);
            WriteCertificateHint(parsed, call, e);
            WriteWhatIsKnown(parsed, call);
            return ExitCode.Unavailable;
        }
    }

    private static OtpAuthChannel OpenChannel(ParseResult parsed)
    {
        var tls = new OtpAuthTls
        {
            CertificateFile = parsed.GetValue(GlobalOptions.Certificate),
            KeyFile = parsed.GetValue(GlobalOptions.Key),
            TrustFile = parsed.GetValue(GlobalOptions.Trust),
        };
        try
        {
            return OtpAuthChannel.Create(
                parsed.GetRequiredValue(GlobalOptions.Address),
                (tls.CertificateFile ?? tls.KeyFile ?? tls.TrustFile) is null ? null : tls);
        }
        catch (ArgumentException e)
        {
            throw new UsageException(e.Message);
        }
    }

    // TLS itself says in few words or none which side did not like the other's certificate.
    private static void WriteCertificateHint(ParseResult parsed, ServiceCall call, RpcException error)
    {
        var errors = parsed.InvocationConfiguration.Error;
        if (error.Status.DebugException?.GetBaseException() is AuthenticationException)
        {
            errors.WriteLine("The service's certificate has to lead to a root of --trust, else of this system, and to bear the host of the address.");
        }
        else if (error.Status.DebugException is not null && call.Service.HasConnected && IsTls(parsed))
        {
            errors.WriteLine("If the service requires a client certificate, --certificate has to name one that it accepts.");
        }
    }

    private static bool IsTls(ParseResult parsed) =>
        parsed.GetRequiredValue(GlobalOptions.Address).StartsWith("https:", StringComparison.OrdinalIgnoreCase);

    private static bool Changes(ParseResult parsed)
    {
        var options = parsed.CommandResult.Command.Options;
        return options.Contains(RequestIdOption) && (!options.Contains(ApplyOption.Option) || parsed.GetValue(ApplyOption.Option));
    }

    // Only what may have arrived and changes something has an outcome that somebody has to find out.
    private static void WriteWhatIsKnown(ParseResult parsed, ServiceCall call)
    {
        var errors = parsed.InvocationConfiguration.Error;
        if (!call.Service.HasConnected)
        {
            errors.WriteLine("No connection was made: nothing was sent.");
        }
        else if (Changes(parsed))
        {
            errors.WriteLine($"The outcome is unknown. To send the same request again, within two minutes, add --request-id {call.RequestId}");
        }
    }
}
