using Google.Rpc;
using Grpc.Core;

namespace OtpAuthService.Tests.Fixtures;

/// <summary>A gRPC error as a caller reads it: the status with its google.rpc details.</summary>
internal sealed class Refusal
{
    private readonly RpcException error;
    private readonly Google.Rpc.Status details;

    public Refusal(RpcException error)
    {
        this.error = error;
        details = error.GetRpcStatus() ?? new Google.Rpc.Status();
    }

    public StatusCode Code => error.StatusCode;

    /// <summary>ErrorInfo's reason and domain; null where the error has none.</summary>
    public (string Reason, string Domain)? Info => details.GetDetail<ErrorInfo>() is { } info ? (info.Reason, info.Domain) : null;

    /// <summary>The fields that BadRequest names, in its order.</summary>
    public IEnumerable<string> Fields => details.GetDetail<BadRequest>()?.FieldViolations.Select(v => v.Field) ?? [];

    /// <summary>RetryInfo's delay; null where it has none.</summary>
    public TimeSpan? RetryDelay => details.GetDetail<RetryInfo>()?.RetryDelay?.ToTimeSpan();

    /// <summary>
    /// Whether the server hung up on the handshake. TLS 1.3 ends it for the client before the server has looked at the client's certificate:
    /// the client finds out while it sends or while it waits, and gRPC calls the one Internal and the other Unavailable.
    /// </summary>
    public bool IsOfHandshake => Info is null && (Code is StatusCode.Unavailable or StatusCode.Internal);

    /// <summary>Every word of it that reaches the caller.</summary>
    public string Text => $"{error.Status.Detail}\n{details}\n{string.Join('\n', error.Trailers.Select(t => t.IsBinary ? Decode(t) : $"{t.Key}: {t.Value}"))}";

    /// <summary>Makes a call that must fail.</summary>
    public static async Task<Refusal> OfAsync(Func<Task> call) => new((await Assert.ThrowsAsync<RpcException>(() => call()))!);

    private static string Decode(Metadata.Entry trailer) => System.Text.Encoding.UTF8.GetString(trailer.ValueBytes);
}
