using System.Globalization;
using Grpc.AspNetCore.Server;
using Grpc.Core;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Primitives;
using OtpAuthService.Hosting;

namespace OtpAuthService.Services;

/// <summary>
/// Every call has a deadline: the caller's where it is not too long, else ours. gRPC ends the call by it with DEADLINE_EXCEEDED. A
/// <c>grpc-timeout</c> that is none (gRPC would leave it out and wait for ever) is taken for a missing one.
/// </summary>
internal sealed class CallDeadlines(IOptions<OtpAuthOptions> options)
{
    /// <summary>A decision takes a second at most, so who waits longer waits for nothing. Long enough to not cut a caller's own 3 s.</summary>
    public static readonly TimeSpan LongestUnaryCall = TimeSpan.FromSeconds(10);

    /// <summary>An import of a million credentials over a slow line, or an auditor's long reading.</summary>
    public static readonly TimeSpan LongestStreamingCall = TimeSpan.FromMinutes(30);

    /// <summary>At most eight digits and a unit (gRPC over HTTP/2, Timeout).</summary>
    private const int LongestText = 9;

    private readonly Limit unary = new(options.Value.LongestUnaryCall);
    private readonly Limit streaming = new(options.Value.LongestStreamingCall);

    /// <summary>Before gRPC, which reads the header. What the shipped client sends is read in place and left as it is.</summary>
    public void Clamp(HttpContext context)
    {
        if (context.GetEndpoint()?.Metadata.GetMetadata<GrpcMethodMetadata>() is not { } call)
        {
            return;
        }

        var limit = call.Method.Type == MethodType.Unary ? unary : streaming;
        var asked = context.Request.Headers.GrpcTimeout;
        if (asked.Count != 1 || !TryParse(asked[0], out var ticks) || ticks > limit.Ticks)
        {
            context.Request.Headers.GrpcTimeout = limit.Text;
        }
    }

    /// <summary>Less than a tick is no time at all, and like 0 it is not one that gRPC would heed.</summary>
    internal static bool TryParse(string? text, out long ticks)
    {
        ticks = 0;
        if (text is not { Length: >= 2 and <= LongestText })
        {
            return false;
        }

        long value = 0;
        foreach (var digit in text.AsSpan(0, text.Length - 1))
        {
            if (!char.IsAsciiDigit(digit))
            {
                return false;
            }

            value = (value * 10) + (digit - '0');
        }

        ticks = text[^1] switch
        {
            'H' => value * TimeSpan.TicksPerHour,
            'M' => value * TimeSpan.TicksPerMinute,
            'S' => value * TimeSpan.TicksPerSecond,
            'm' => value * TimeSpan.TicksPerMillisecond,
            'u' => value * TimeSpan.TicksPerMicrosecond,
            'n' => value / TimeSpan.NanosecondsPerTick,
            _ => 0,
        };
        return ticks > 0;
    }

    private sealed class Limit(TimeSpan longest)
    {
        public long Ticks { get; } = longest.Ticks;

        public StringValues Text { get; } = string.Create(CultureInfo.InvariantCulture, $"{(long)longest.TotalMilliseconds}m");
    }
}
