using Grpc.Core;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace OtpAuthService.Bench.Rivals;

/// <summary>One durable UPDATE per call with nothing around it: Npgsql, prepared, pooled. What a single write costs at least.</summary>
internal sealed class SingleUpdate(NpgsqlDataSource source) : Rival.RivalBase
{
    public static void Add(IServiceCollection services, RivalSettings settings) => services.AddSingleton(
        NpgsqlDataSource.Create(new NpgsqlConnectionStringBuilder(settings.Postgres)
        {
            MaxAutoPrepare = 4,
            AutoPrepareMinUsages = 1,
            // More were slower here: they only wait for each other's commit.
            MaxPoolSize = 32,
            // Nothing to clean up after a single statement.
            NoResetOnClose = true,
        }));

    public override async Task<WriteResponse> Write(WriteRequest request, ServerCallContext context)
    {
        await using var command = source.CreateCommand("UPDATE rows SET last_time_step = last_time_step + 1 WHERE id = $1");
        command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = request.Id });
        return new WriteResponse { Written = await command.ExecuteNonQueryAsync(context.CancellationToken) == 1 };
    }
}
