using System.Globalization;
using System.Runtime;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace OtpAuthService.Bench.Rivals;

/// <summary>Hosts one rival as the product is hosted: Kestrel, HTTP/2 only, gRPC without anything added.</summary>
internal static class RivalHost
{
    /// <summary>Printed when calls are taken.</summary>
    public const string Ready = "The rival is ready.";

    public static async Task RunAsync(RivalKind rival, RivalSettings settings)
    {
        var builder = WebApplication.CreateBuilder();
        // The product's settings file lies beside this program as well.
        builder.Configuration.Sources.Clear();
        builder.Logging.SetMinimumLevel(LogLevel.Warning);
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.ListenLocalhost(settings.GrpcPort, listen => listen.Protocols = HttpProtocols.Http2);
            kestrel.ListenLocalhost(settings.ManagementPort, listen => listen.Protocols = HttpProtocols.Http1);
        });
        builder.Services.AddGrpc();
        Add(rival, builder.Services, settings);

        await using var app = builder.Build();
        await MapAsync(rival, app);
        // In the words of the product's metrics, so that both are read alike.
        app.MapGet("/metrics", () => Results.Text(string.Create(
            CultureInfo.InvariantCulture,
            $"dotnet_gc_heap_total_allocated_bytes_total {GC.GetTotalAllocatedBytes()}\ndotnet_jit_compilation_time_seconds_total {JitInfo.GetCompilationTime().TotalSeconds}\n")));
        await app.StartAsync();
        Console.WriteLine(Ready);
        await app.WaitForShutdownAsync();
    }

    private static void Add(RivalKind rival, IServiceCollection services, RivalSettings settings)
    {
        switch (rival)
        {
            case RivalKind.BareGrpc:
                break;
            case RivalKind.NoOp:
                NoOp.Add(services);
                break;
            case RivalKind.SingleUpdate:
                SingleUpdate.Add(services, settings);
                break;
            case RivalKind.BatchedWrite:
                BatchedWrite.Add(services, settings);
                break;
            case RivalKind.Naive:
                Naive.Add(services, settings);
                break;
            case RivalKind.Identity:
                IdentityProvider.Add(services, settings);
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(rival), rival, "Not a rival.");
        }
    }

    private static async Task MapAsync(RivalKind rival, WebApplication app)
    {
        switch (rival)
        {
            case RivalKind.BareGrpc:
                app.MapGrpcService<BareGrpc>();
                break;
            case RivalKind.NoOp:
                app.MapGrpcService<NoOp>();
                break;
            case RivalKind.SingleUpdate:
                app.MapGrpcService<SingleUpdate>();
                break;
            case RivalKind.BatchedWrite:
                await BatchedWrite.CreateTablesAsync(app.Services);
                app.MapGrpcService<BatchedWrite>();
                break;
            case RivalKind.Naive:
                await Naive.CreateTablesAsync(app.Services);
                app.MapGrpcService<Naive>();
                break;
            case RivalKind.Identity:
                await IdentityProvider.CreateTablesAsync(app.Services);
                app.MapGrpcService<IdentityProvider>();
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(rival), rival, "Not a rival.");
        }
    }
}

/// <summary>What the product is compared with.</summary>
internal enum RivalKind
{
    /// <summary>A call that does nothing, in a server that has nothing: the ceiling of gRPC.</summary>
    BareGrpc,

    /// <summary>A Verify that does nothing, in the product's server: the ceiling of the service.</summary>
    NoOp,

    /// <summary>One durable UPDATE per call.</summary>
    SingleUpdate,

    /// <summary>The product's own shared commits with nothing in front: the durable ceiling.</summary>
    BatchedWrite,

    /// <summary>What a C# team would write first.</summary>
    Naive,

    /// <summary>ASP.NET Core Identity's authenticator provider.</summary>
    Identity,
}

/// <summary>Where a rival listens and which stores it uses.</summary>
internal sealed record RivalSettings(int GrpcPort, int ManagementPort, string Postgres, string Redis);
