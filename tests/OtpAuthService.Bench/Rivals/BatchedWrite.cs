using Grpc.Core;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using OtpAuthService.Audit;
using OtpAuthService.Bench.Populations;
using OtpAuthService.Storage;
using OtpAuthService.Verification;

namespace OtpAuthService.Bench.Rivals;

/// <summary>
/// The durable ceiling: the product's own statement and batches, on its own tables, with nothing in front. What a Verify reads, matches and
/// asks Redis for comes on top of this.
/// </summary>
internal sealed class BatchedWrite(ReadyMadeWrites writes) : Rival.RivalBase
{
    public static void Add(IServiceCollection services, RivalSettings settings) => services
        .AddSingleton(TimeProvider.System)
        .AddSingleton(StoreSet.Postgres(settings.Postgres))
        .AddSingleton<StoreAvailability>()
        .AddSingleton<OtpStore>()
        .AddSingleton<AuditChains>()
        .AddSingleton<ReadyMadeWrites>();

    public static async Task CreateTablesAsync(IServiceProvider services)
    {
        await using var db = services.GetRequiredService<StoreSet>().CreateContext();
        await db.Database.MigrateAsync();
        await db.Database.ExecuteSqlAsync(
            $"INSERT INTO institutions (id, display_name, look_back_steps, look_ahead_steps, not_registered_login, suspended_login, policy_version, created_at) VALUES ({Population.Institution}, '', 1, 1, 1, 1, 1, 0)");
        // As the product's start does: the statement decides on no server that is not known.
        var (_, _, position) = await services.GetRequiredService<StoreSet>().ProbeAsync(CancellationToken.None);
        db.Fences.Add(new Fence { Evidence = position!.Evidence, Until = DateTimeOffset.UnixEpoch, RaisedAt = DateTimeOffset.UnixEpoch, Reason = "benchmark" });
        await db.SaveChangesAsync();
        // The product's monitor would say so; there is none here.
        services.GetRequiredService<StoreAvailability>().ReportWell();
    }

    public override async Task<WriteResponse> Write(WriteRequest request, ServerCallContext context)
    {
        try
        {
            return new WriteResponse { Written = await writes.WriteAsync(request.Id) };
        }
        catch (StoreUnavailableException late)
        {
            // As the product answers it.
            throw new RpcException(new Status(StatusCode.Unavailable, late.Message));
        }
    }
}
