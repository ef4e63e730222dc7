using System.Net;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;

namespace OtpAuthService.Hosting;

/// <summary>
/// Which endpoints calls may come in by: mutual TLS, or plaintext over loopback where nobody's money is at stake. The management endpoint
/// (health, metrics) and the one for probes (grpc.health.v1) take no calls and are not looked at.
/// </summary>
internal static class Endpoints
{
    private const string Management = "Management";
    private const string Probes = "Probes";

    /// <returns>Whether calls come in by plaintext.</returns>
    /// <exception cref="StartRefusedException">One may not be opened, or nobody could call by any of them.</exception>
    public static bool Check(IConfiguration configuration, OtpAuthOptions options, IHostEnvironment environment, bool embedded)
    {
        var plaintext = false;
        foreach (var (name, address) in Of(configuration))
        {
            if (address.Scheme == Uri.UriSchemeHttps)
            {
                RequireTls(name, options);
            }
            else if (name is not (Management or Probes))
            {
                RequireTryingOut(name, address, options, environment, embedded);
                plaintext = true;
            }
        }

        if (options.LocalCaller is { Enabled: true } && environment.IsProduction() && !embedded)
        {
            throw new StartRefusedException("The local caller is whoever connects over loopback, which is not for production. Set OtpAuth__LocalCaller__Enabled=false.");
        }

        if (options.LocalCaller is { Enabled: true, Institutions.Count: 0 })
        {
            throw new StartRefusedException("The local caller acts for no institution. Set OtpAuth__LocalCaller__Institutions__0, for example to demo.");
        }

        return plaintext;
    }

    /// <summary>Every https endpoint takes mutual TLS, the management endpoint as well where it is one.</summary>
    public static void UseTls(KestrelServerOptions kestrel, IConfiguration configuration, Func<TlsHandshakeCallbackOptions> handshakes)
    {
        foreach (var (name, _) in Of(configuration).Where(e => e.Address.Scheme == Uri.UriSchemeHttps))
        {
            kestrel.ConfigurationLoader!.Endpoint(name, endpoint => endpoint.ListenOptions.UseHttps(handshakes()));
        }
    }

    /// <summary>Kubernetes' gRPC probes know no TLS: an endpoint in plaintext that answers them and nothing else. There is none unless it is set.</summary>
    public static void UseProbes(KestrelServerOptions kestrel, IConfiguration configuration)
    {
        if (Of(configuration).Any(endpoint => endpoint.Name == Probes))
        {
            kestrel.ConfigurationLoader!.Endpoint(Probes, endpoint =>
            {
                endpoint.ListenOptions.Protocols = HttpProtocols.Http2;
                endpoint.ListenOptions.Use(next => connection =>
                {
                    connection.Items[Probes] = true;
                    return next(connection);
                });
            });
        }
    }

    /// <summary>Nothing but grpc.health.v1 for whoever comes by the endpoint for probes.</summary>
    public static Task KeepProbesApart(HttpContext call, RequestDelegate next)
    {
        if (call.Features.Get<IConnectionItemsFeature>()?.Items.ContainsKey(Probes) != true || call.Request.Path.StartsWithSegments("/grpc.health.v1.Health"))
        {
            return next(call);
        }

        call.Response.StatusCode = StatusCodes.Status404NotFound;
        return Task.CompletedTask;
    }

    private static IEnumerable<(string Name, BindingAddress Address)> Of(IConfiguration configuration) =>
        from endpoint in configuration.GetSection("Kestrel:Endpoints").GetChildren()
        let url = endpoint["Url"]
        where url is not null
        select (endpoint.Key, BindingAddress.Parse(url));

    private static void RequireTls(string endpoint, OtpAuthOptions options)
    {
        if (options.Tls is null)
        {
            throw new StartRefusedException(
                $"Endpoint {endpoint} is https: set OtpAuth__Tls__CertificateFile, OtpAuth__Tls__KeyFile, OtpAuth__Tls__TrustFile and OtpAuth__CallersFile (README: Callers).");
        }
    }

    private static void RequireTryingOut(
        string endpoint, BindingAddress address, OtpAuthOptions options, IHostEnvironment environment, bool embedded)
    {
        if (!IsLoopback(address.Host))
        {
            throw new StartRefusedException(
                $"Endpoint {endpoint} is plaintext and not on loopback: OTPs must not cross a network in the clear. Set Kestrel__Endpoints__{endpoint}__Url to https:// and OtpAuth__Tls__….");
        }

        if (environment.IsProduction() && !embedded)
        {
            throw new StartRefusedException(
                $"Endpoint {endpoint} is plaintext, which is not for production. Set Kestrel__Endpoints__{endpoint}__Url to https:// and OtpAuth__Tls__…; to try the service out on PostgreSQL, set DOTNET_ENVIRONMENT=Development.");
        }

        if (options.LocalCaller is not { Enabled: true })
        {
            throw new StartRefusedException(
                $"Nobody could call by endpoint {endpoint}: it is plaintext, so there are no client certificates. To try the service out on PostgreSQL, set OtpAuth__LocalCaller__Enabled=true and OtpAuth__LocalCaller__Institutions__0=demo; then whoever connects over loopback is a caller.");
        }
    }

    private static bool IsLoopback(string host) =>
        string.Equals(host, "localhost", StringComparison.OrdinalIgnoreCase)
        || (IPAddress.TryParse(host, out var address) && IPAddress.IsLoopback(address));
}
