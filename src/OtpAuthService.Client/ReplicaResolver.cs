using System.Net;
using Grpc.Core;
using Grpc.Net.Client.Balancer;

namespace OtpAuthService.Client;

/// <summary>The addresses of a name, one for each replica.</summary>
internal delegate Task<IPAddress[]> Lookup(string host, CancellationToken cancellation);

/// <summary>
/// Follows which addresses a name has. The resolver of Grpc.Net.Client asks no sooner than 15 s after the time before: a rolling update may
/// have exchanged all replicas by then.
/// </summary>
internal sealed class ReplicaResolver(string host, int port, Lookup lookUp) : Resolver
{
    /// <summary>Until the name is asked for again, where all is well: a new replica waits this long for its first call, at most.</summary>
    internal static readonly TimeSpan Interval = TimeSpan.FromSeconds(5);

    /// <summary>Where a connection was lost, or the name not found; the many calls that see it then do not make as many questions.</summary>
    internal static readonly TimeSpan Pause = TimeSpan.FromSeconds(1);

    // Grpc.Net.Client's own: what the server is called, where its address is a number.
    private static readonly BalancerAttributesKey<string> HostOverride = new("HostOverride");

    private readonly CancellationTokenSource stop = new();
    private readonly SemaphoreSlim asked = new(0);

    public override void Start(Action<ResolverResult> listener)
    {
        // It outlives the call that begins it, and is no part of it.
        using (ExecutionContext.SuppressFlow())
        {
            Task.Run(() => FollowAsync(listener, stop.Token));
        }
    }

    public override void Refresh()
    {
        if (asked.CurrentCount == 0)
        {
            asked.Release();
        }
    }

    protected override void Dispose(bool disposing)
    {
        stop.Cancel();
        base.Dispose(disposing);
    }

    private async Task FollowAsync(Action<ResolverResult> listener, CancellationToken cancellation)
    {
        while (!cancellation.IsCancellationRequested)
        {
            var result = await LookUpAsync(cancellation);
            listener(result);
            await Task.Delay(Pause, cancellation);
            if (result.Status.StatusCode == StatusCode.OK)
            {
                await asked.WaitAsync(Interval - Pause, cancellation);
            }
        }
    }

    // Where the name is not found, gRPC stays with the addresses that it knows, as long as one of them answers.
    private async Task<ResolverResult> LookUpAsync(CancellationToken cancellation)
    {
        try
        {
            return ResolverResult.ForResult([.. (await lookUp(host, cancellation)).Select(Replica)]);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            return ResolverResult.ForFailure(new Status(StatusCode.Unavailable, $"The addresses of '{host}' could not be looked up: {e.Message}", e));
        }
    }

    private BalancerAddress Replica(IPAddress address)
    {
        var replica = new BalancerAddress(address.ToString(), port);
        replica.Attributes.Set(HostOverride, $"{host}:{port}");
        return replica;
    }
}

/// <summary>How Grpc.Net.Client is told of a resolver: by a service provider, which here knows of nothing else.</summary>
internal sealed class ReplicaResolverFactory(string host, int port, Lookup lookUp) : ResolverFactory, IServiceProvider
{
    public override string Name => OtpAuthChannel.DnsScheme;

    public override Resolver Create(ResolverOptions options) => new ReplicaResolver(host, port, lookUp);

    public object? GetService(Type serviceType) => serviceType == typeof(IEnumerable<ResolverFactory>) ? new ResolverFactory[] { this } : null;
}
