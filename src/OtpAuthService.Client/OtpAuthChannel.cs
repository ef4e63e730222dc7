using System.Net;
using Grpc.Core;
using Grpc.Core.Interceptors;
using Grpc.Net.Client;
using Grpc.Net.Client.Configuration;
using OtpAuthService.V1;

namespace OtpAuthService.Client;

/// <summary>
/// A connection to OtpAuthService that follows the rules of its contract: a deadline on every unary call, and a retry exactly where
/// one is safe. Create one per service and keep it; it is thread-safe, connects on first use and reconnects by itself.
/// </summary>
public sealed class OtpAuthChannel : IDisposable
{
    /// <summary>The deadline of a unary call whose caller set none, retries included: 3 s.</summary>
    public static readonly TimeSpan DefaultDeadline = TimeSpan.FromSeconds(3);

    internal const string DnsScheme = "dns";

    private readonly GrpcChannel channel;
    private readonly Connector connector;

    private OtpAuthChannel(GrpcChannel channel, Connector connector)
    {
        this.channel = channel;
        this.connector = connector;
        CallInvoker = channel.Intercept(new DefaultDeadlineInterceptor(DefaultDeadline, TimeProvider.System));
        OtpAuth = new OtpAuth.OtpAuthClient(CallInvoker);
        Operations = new OtpOperations.OtpOperationsClient(CallInvoker);
    }

    /// <summary>What front ends and the mobile-IB gateway call.</summary>
    public OtpAuth.OtpAuthClient OtpAuth { get; }

    /// <summary>What operators and auditors call.</summary>
    public OtpOperations.OtpOperationsClient Operations { get; }

    /// <summary>For a generated client of another service at the same address, such as grpc.health.v1, under the same rules.</summary>
    public CallInvoker CallInvoker { get; }

    /// <summary>Whether a connection was ever made: while it is false, no call can have reached the service.</summary>
    public bool HasConnected => connector.HasConnected;

    /// <summary>Makes the channel; nothing is sent before the first call.</summary>
    /// <param name="address">
    /// <c>https://host:port</c>: one server, or a load balancer. <c>dns:///host:port</c>: every address of the name is a replica, such as of
    /// a headless service in Kubernetes; they take calls in turn, over TLS, and the name is asked for again every five seconds.
    /// <c>http://host:port</c> for a service on this machine: the host has to be <c>localhost</c> or a loopback IP address, because OTPs and
    /// credential keys must not cross a network in the clear.
    /// </param>
    /// <param name="tls">
    /// The client certificate and whom to trust. Null is no certificate, and the roots that the system trusts. TLS 1.2 or newer, always; the
    /// service's certificate has to bear the host of the address, each replica's too.
    /// </param>
    /// <exception cref="ArgumentException">
    /// The address is none of these, or a certificate or key cannot be read, does not fit, or is not valid now. The message says which.
    /// </exception>
    public static OtpAuthChannel Create(string address, OtpAuthTls? tls = null) => Create(address, tls, Dns.GetHostAddressesAsync);

    /// <summary>With another way to find the addresses of a name.</summary>
    internal static OtpAuthChannel Create(string address, OtpAuthTls? tls, Lookup lookUp)
    {
        var (scheme, server) = ParseAddress(address);
        if (scheme == Uri.UriSchemeHttp && tls is not null)
        {
            throw new ArgumentException($"'{address}' is plaintext (http), where certificates have no use: use https, or leave them out.");
        }

        tls ??= new OtpAuthTls();
        var connector = new Connector(scheme == Uri.UriSchemeHttp ? null : tls, TimeProvider.System);
        var handler = new SocketsHttpHandler
        {
            PooledConnectionLifetime = tls.ConnectionLifetime,
            // Finds a half-open connection while it is idle, not when a customer waits for a login.
            KeepAlivePingDelay = TimeSpan.FromSeconds(20),
            KeepAlivePingTimeout = TimeSpan.FromSeconds(5),
            EnableMultipleHttp2Connections = true,
            // A proxy named in the environment is for other hosts; through one, the service could not see who calls.
            UseProxy = false,
        };
        var options = new GrpcChannelOptions { HttpHandler = new ClosedConnections(handler), DisposeHttpClient = true, ServiceConfig = RetryUnavailable() };
        return new(scheme == DnsScheme ? ToReplicas(server, options, handler, connector, lookUp) : ToServer(server, options, handler, connector), connector);
    }

    /// <summary>Closes the connections; calls that are under way are cancelled.</summary>
    public void Dispose() => channel.Dispose();

    private static GrpcChannel ToServer(Uri server, GrpcChannelOptions options, SocketsHttpHandler handler, Connector connector)
    {
        handler.ConnectCallback = connector.Over(Connector.OpenSocketAsync, server.IdnHost);
        return GrpcChannel.ForAddress(server, options);
    }

    private static GrpcChannel ToReplicas(Uri server, GrpcChannelOptions options, SocketsHttpHandler handler, Connector connector, Lookup lookUp)
    {
        options.Credentials = ChannelCredentials.SecureSsl;
        options.ServiceConfig!.LoadBalancingConfigs.Add(new RoundRobinConfig());
        options.ServiceProvider = new ReplicaResolverFactory(server.IdnHost, server.Port, lookUp);
        // A replica that comes back at the same address is found about this soon; the default grows to two minutes.
        options.MaxReconnectBackoff = TimeSpan.FromSeconds(2);
        var channel = GrpcChannel.ForAddress($"{DnsScheme}:///{server.Authority}", options);
        // Only with a callback of its own, which the channel has just set, does gRPC know which replica is there and which is not: it opens
        // and watches sockets by it. It refuses to balance over another one, so TLS comes on top of it afterwards.
        var open = handler.ConnectCallback ?? throw new InvalidOperationException("Grpc.Net.Client does not open the connections to replicas itself.");
        handler.ConnectCallback = connector.Over(new Opening(open), server.IdnHost);
        return channel;
    }

    private static (string Scheme, Uri Server) ParseAddress(string address)
    {
        ArgumentNullException.ThrowIfNull(address);
        if (!Uri.TryCreate(address, UriKind.Absolute, out var uri))
        {
            throw NotAnAddress(address);
        }

        if (uri.Scheme == DnsScheme)
        {
            // dns:/// asks the machine's own name servers; others would stand between the slashes.
            return uri.Host.Length == 0 && Uri.TryCreate($"https:/{uri.AbsolutePath}", UriKind.Absolute, out var name) && name.PathAndQuery == "/" && name.UserInfo.Length == 0
                ? (DnsScheme, name)
                : throw NotAnAddress(address);
        }

        if (uri.Scheme != Uri.UriSchemeHttp && uri.Scheme != Uri.UriSchemeHttps)
        {
            throw NotAnAddress(address);
        }

        if (uri.Scheme == Uri.UriSchemeHttp && !uri.IsLoopback)
        {
            throw new ArgumentException(
                $"Plaintext (http) is for a service on this machine only, and '{uri.Host}' is not a loopback address: use https.");
        }

        return (uri.Scheme, uri);
    }

    private static ArgumentException NotAnAddress(string address) =>
        new($"'{address}' is not an address of the form https://host:port or dns:///host:port.");

    // Every request that changes something carries its request_id, so that a second delivery gets the first answer. Only UNAVAILABLE is
    // tried again: every other status is an answer. At most 0.1 + 0.3 + 0.9 s of waiting, well inside the default deadline.
    private static ServiceConfig RetryUnavailable() => new()
    {
        MethodConfigs =
        {
            new MethodConfig
            {
                Names = { MethodName.Default },
                RetryPolicy = new RetryPolicy
                {
                    MaxAttempts = 4,
                    InitialBackoff = TimeSpan.FromMilliseconds(100),
                    BackoffMultiplier = 3,
                    MaxBackoff = TimeSpan.FromSeconds(1),
                    RetryableStatusCodes = { StatusCode.Unavailable },
                },
            },
        },
        // A service that is down is not asked four times as often: after 50 failed attempts without successes between, retries stop.
        RetryThrottling = new RetryThrottlingPolicy { MaxTokens = 100, TokenRatio = 0.1 },
    };
}
