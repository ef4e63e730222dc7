using Google.Rpc;
using Grpc.Core;

namespace OtpCtl;

/// <summary>gRPC errors as sentences.</summary>
internal static class RpcErrorText
{
    /// <summary>Whether the service answered "no" to this request, as opposed to not answering or failing.</summary>
    public static bool IsRefusal(this RpcException error) => error.StatusCode is not (
        StatusCode.Unavailable or StatusCode.DeadlineExceeded or StatusCode.Cancelled
        or StatusCode.Internal or StatusCode.Unknown or StatusCode.DataLoss);

    /// <summary>Writes the status and whatever the service added to it.</summary>
    public static void WriteTo(this RpcException error, TextWriter errors)
    {
        errors.WriteLine($"otpctl: {AnswerText.Text(error.StatusCode)}: {error.Explain()}");
        var details = error.GetRpcStatus();
        foreach (var violation in details?.GetDetail<BadRequest>()?.FieldViolations ?? [])
        {
            errors.WriteLine($"  field {violation.Field}: {violation.Description}");
        }

        if (details?.GetDetail<ErrorInfo>() is { } info)
        {
            var circumstances = info.Metadata.Select(entry => $"{entry.Key}={entry.Value}").Prepend(info.Domain);
            errors.WriteLine($"  reason: {info.Reason} ({string.Join(", ", circumstances)})");
        }

        if (details?.GetDetail<RetryInfo>()?.RetryDelay is { } delay)
        {
            errors.WriteLine($"  retry after: {AnswerText.Text(delay)}");
        }
    }

    /// <summary>For a connection that failed, gRPC puts the messages of all exceptions into one line; the one below HTTP's is what happened.</summary>
    public static string Explain(this RpcException error) => error.Status.DebugException is { } cause
        ? (cause.InnerException ?? cause).Message
        : error.Status.Detail;
}
