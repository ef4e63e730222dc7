using System.Collections.Concurrent;
using System.Net;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Grpc.Core;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests;

/// <summary>
/// A gRPC host that requires client certificates of one authority, made of the contract alone: for what only a server with a wrong
/// certificate can show.
/// </summary>
internal sealed class MtlsHost : IAsyncDisposable
{
    private readonly WebApplication host;
    private readonly Seen seen;

    private MtlsHost(WebApplication host, Seen seen)
    {
        this.host = host;
        this.seen = seen;
    }

    /// <summary>With the IP address as its host.</summary>
    public string Address => host.Urls.Single();

    public int Port => new Uri(Address).Port;

    /// <summary>The calls that arrived, in their order.</summary>
    public IReadOnlyCollection<SeenCall> Calls => seen.Calls;

    public static Task<MtlsHost> StartAsync(
        TestAuthority clients, Func<TestCertificate> certificate, SslProtocols protocols = SslProtocols.Tls12 | SslProtocols.Tls13) =>
        StartAsync(clients.Root, () => certificate().Certificate, protocols);

    /// <param name="clients">The root that client certificates have to lead to.</param>
    /// <param name="certificate">The server's, asked for at each handshake.</param>
    /// <param name="protocols">Versions of TLS.</param>
    /// <param name="at">Where it listens; else at 127.0.0.1, on a free port.</param>
    public static async Task<MtlsHost> StartAsync(
        X509Certificate2 clients,
        Func<X509Certificate2> certificate,
        SslProtocols protocols = SslProtocols.Tls12 | SslProtocols.Tls13,
        IPEndPoint? at = null)
    {
        var seen = new Seen();
        // Empty: the settings of the real service lie in the same folder.
        var builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration().ConfigureKestrel(kestrel =>
            kestrel.Listen(at ?? new(IPAddress.Loopback, 0), listen =>
            {
                listen.Protocols = HttpProtocols.Http2;
                listen.UseHttps(https => Require(https, clients, certificate, protocols));
            }));
        builder.Services.AddRouting();
        builder.Services.AddGrpc();
        builder.Services.AddSingleton(seen);
        var host = builder.Build();
        host.MapGrpcService<Seen>();
        await host.StartAsync();
        return new(host, seen);
    }

    /// <summary>As a replica that is taken out: what it has begun is ended, and it listens no more.</summary>
    public Task StopAsync() => host.StopAsync();

    public ValueTask DisposeAsync() => host.DisposeAsync();

    private static void Require(HttpsConnectionAdapterOptions https, X509Certificate2 clients, Func<X509Certificate2> certificate, SslProtocols protocols)
    {
        https.SslProtocols = protocols;
        https.ServerCertificateSelector = (_, _) => certificate();
        https.ClientCertificateMode = ClientCertificateMode.RequireCertificate;
        https.ClientCertificateValidation = (client, sent, _) =>
        {
            using var chain = new X509Chain();
            chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
            chain.ChainPolicy.CustomTrustStore.Add(clients);
            // The intermediates that the client sent along; nothing is fetched.
            chain.ChainPolicy.ExtraStore.AddRange(sent!.ChainPolicy.ExtraStore);
            chain.ChainPolicy.DisableCertificateDownloads = true;
            chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
            return chain.Build(client);
        };
    }

    private sealed class Seen : OtpAuth.OtpAuthBase
    {
        public ConcurrentQueue<SeenCall> Calls { get; } = new();

        public override Task<VerifyResponse> Verify(VerifyRequest request, ServerCallContext context)
        {
            var connection = context.GetHttpContext().Connection;
            Calls.Enqueue(new(
                connection.ClientCertificate!.SerialNumber,
                connection.Id,
                FirstDelivery: context.RequestHeaders.Get("grpc-previous-rpc-attempts") is null));
            return Task.FromResult(new VerifyResponse { Outcome = Outcome.Accepted, Decision = Decision.Allow });
        }
    }
}

/// <param name="Serial">Of the client's certificate.</param>
/// <param name="Connection">The same for calls over the same connection.</param>
/// <param name="FirstDelivery">Whether no delivery before it failed.</param>
internal sealed record SeenCall(string Serial, string Connection, bool FirstDelivery);
