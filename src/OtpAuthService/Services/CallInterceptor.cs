using System.Diagnostics;
using Grpc.Core;
using Grpc.Core.Interceptors;
using OtpAuthService.Callers;
using OtpAuthService.Telemetry;

namespace OtpAuthService.Services;

/// <summary>Around every call: who is it, may they, how did it end. Turns failures into gRPC errors and measures the call.</summary>
internal sealed class CallInterceptor(CallerDirectory callers, CallRates rates, Instruments instruments, SecurityEvents events, ILogger<CallInterceptor> log) : Interceptor
{
    private static readonly object CallerKey = new();

    /// <summary>The caller that this call was let in for.</summary>
    public static Caller CallerOf(ServerCallContext context) => (Caller)context.UserState[CallerKey];

    public override Task<TResponse> UnaryServerHandler<TRequest, TResponse>(
        TRequest request, ServerCallContext context, UnaryServerMethod<TRequest, TResponse> continuation) =>
        AroundAsync(context, () => continuation(request, context));

    public override Task<TResponse> ClientStreamingServerHandler<TRequest, TResponse>(
        IAsyncStreamReader<TRequest> requestStream, ServerCallContext context, ClientStreamingServerMethod<TRequest, TResponse> continuation) =>
        AroundAsync(context, () => continuation(requestStream, context));

    public override Task ServerStreamingServerHandler<TRequest, TResponse>(
        TRequest request,
        IServerStreamWriter<TResponse> responseStream,
        ServerCallContext context,
        ServerStreamingServerMethod<TRequest, TResponse> continuation) =>
        AroundAsync(context, () => Completed(continuation(request, responseStream, context)));

    public override Task DuplexStreamingServerHandler<TRequest, TResponse>(
        IAsyncStreamReader<TRequest> requestStream,
        IServerStreamWriter<TResponse> responseStream,
        ServerCallContext context,
        DuplexStreamingServerMethod<TRequest, TResponse> continuation) =>
        AroundAsync(context, () => Completed(continuation(requestStream, responseStream, context)));

    private async Task<TResponse> AroundAsync<TResponse>(ServerCallContext context, Func<Task<TResponse>> call)
    {
        var began = Stopwatch.GetTimestamp();
        var status = StatusCode.OK;
        var span = Spans.StartCall(context.Method);
        try
        {
            Admit(context);
            return await call();
        }
        catch (Exception failure)
        {
            var error = GrpcErrors.Of(failure);
            // A call that its deadline ends is told of that by the framework, and is not one that its caller gave up.
            status = error.StatusCode == StatusCode.Cancelled && context.Deadline <= TimeProvider.System.GetUtcNow().UtcDateTime ? StatusCode.DeadlineExceeded : error.StatusCode;
            if (status == StatusCode.Internal)
            {
                log.CallFailed(context.Method, failure);
            }

            if (status == StatusCode.DataLoss)
            {
                log.StoredKeyUnusable(context.Method);
            }

            if (status is StatusCode.PermissionDenied or StatusCode.Unauthenticated or StatusCode.DataLoss)
            {
                events.Raise(GrpcErrors.ReasonOf(error), FindCaller(context)?.Id ?? "", context.Method);
            }

            throw error;
        }
        finally
        {
            Spans.EndCall(span, status);
            instruments.CallEnded(context.Method, status, Stopwatch.GetElapsedTime(began));
        }
    }

    private void Admit(ServerCallContext context)
    {
        if (Rights.IsOpen(context.Method))
        {
            return;
        }

        var caller = callers.Identify(context.GetHttpContext()) ?? throw GrpcErrors.Unauthenticated();
        context.UserState[CallerKey] = caller;
        if (!Rights.Allow(caller, context.Method))
        {
            throw GrpcErrors.NoRight(context.Method);
        }

        rates.CountCall(caller);
    }

    private static Caller? FindCaller(ServerCallContext context) => context.UserState.TryGetValue(CallerKey, out var caller) ? (Caller)caller : null;

    private static async Task<bool> Completed(Task streaming)
    {
        await streaming;
        return true;
    }
}
