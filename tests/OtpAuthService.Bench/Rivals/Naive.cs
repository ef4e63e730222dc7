using Grpc.Core;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using OtpAuthService.V1;
using OtpNet;
using StackExchange.Redis;

namespace OtpAuthService.Bench.Rivals;

/// <summary>
/// What a C# team would write first, and write well: pooled contexts, one query, Otp.NET, a replay check in Redis that is atomic, and one
/// SaveChanges for the audit record and the use. It has no retries, no guess budget, and keys in the clear, which all would cost more.
/// </summary>
internal sealed class Naive(NaiveDbContext db, IConnectionMultiplexer redis, TimeProvider time) : OtpAuth.OtpAuthBase
{
    /// <summary>Longer than an OTP is accepted.</summary>
    private static readonly TimeSpan ReplayLifetime = TimeSpan.FromMinutes(2);

    private static readonly VerificationWindow Window = new(previous: 1, future: 1);

    public static void Add(IServiceCollection services, RivalSettings settings)
    {
        services.AddSingleton(TimeProvider.System);
        services.AddSingleton<IConnectionMultiplexer>(ConnectionMultiplexer.Connect($"{settings.Redis},abortConnect=false"));
        services.AddDbContextPool<NaiveDbContext>(options => options.UseNpgsql(settings.Postgres));
    }

    public static async Task CreateTablesAsync(IServiceProvider services)
    {
        await using var scope = services.CreateAsyncScope();
        await scope.ServiceProvider.GetRequiredService<NaiveDbContext>().Database.EnsureCreatedAsync();
    }

    public override async Task<VerifyResponse> Verify(VerifyRequest request, ServerCallContext context)
    {
        var binding = await db.Bindings
            .Include(b => b.Credential)
            .SingleOrDefaultAsync(
                b => b.InstitutionId == request.InstitutionId && b.ContractorId == request.ContractorId && b.IsActive,
                context.CancellationToken);
        var outcome = binding is null ? Outcome.NotRegistered : await CheckAsync(binding.Credential, request.Otp);
        db.AuditRecords.Add(new NaiveAuditRecord
        {
            At = time.GetUtcNow().UtcDateTime,
            RequestId = request.RequestId,
            InstitutionId = request.InstitutionId,
            ContractorId = request.ContractorId,
            Purpose = (int)request.Purpose,
            Outcome = (int)outcome,
        });
        await db.SaveChangesAsync(context.CancellationToken);
        return new VerifyResponse { Outcome = outcome, Decision = outcome == Outcome.Accepted ? Decision.Allow : Decision.Deny };
    }

    private async Task<Outcome> CheckAsync(NaiveCredential credential, string otp)
    {
        var totp = new Totp(credential.Secret, credential.PeriodSeconds, OtpHashMode.Sha1, credential.Digits);
        if (!totp.VerifyTotp(otp, out var step, Window))
        {
            return Outcome.Mismatch;
        }

        if (!await redis.GetDatabase().StringSetAsync($"used:{credential.Id}:{step}", 1, ReplayLifetime, When.NotExists))
        {
            return Outcome.AlreadyUsed;
        }

        credential.LastUsedAt = time.GetUtcNow().UtcDateTime;
        return Outcome.Accepted;
    }
}
