using Grpc.Core;
using Microsoft.Extensions.DependencyInjection;
using OtpAuthService.Callers;
using OtpAuthService.Hosting;
using OtpAuthService.Storage;
using OtpAuthService.V1;
using OtpAuthService.Verification;

namespace OtpAuthService.Bench.Rivals;

/// <summary>
/// The product's server around a Verify that reads and decides nothing: the same caller check, interceptor, limits and metrics, the same
/// messages on the wire.
/// </summary>
internal sealed class NoOp : OtpAuth.OtpAuthBase
{
    private static readonly Task<VerifyResponse> Nothing = Task.FromResult(new VerifyResponse { Outcome = Outcome.Accepted, Decision = Decision.Allow });

    public static void Add(IServiceCollection services)
    {
        services.AddSingleton(TimeProvider.System).AddSingleton<StoreAvailability>().AddSingleton<IReplayCache, InProcessReplayCache>();
        services.Configure<OtpAuthOptions>(options => options.LocalCaller = new LocalCallerOptions
        {
            Enabled = true,
            Roles = CallerRoles.Frontend,
            Institutions = [Populations.Population.Institution],
        });
        Server.AddGrpc(services, embedded: false);
        Server.AddMetrics(services);
    }

    public override Task<VerifyResponse> Verify(VerifyRequest request, ServerCallContext context) => Nothing;
}
