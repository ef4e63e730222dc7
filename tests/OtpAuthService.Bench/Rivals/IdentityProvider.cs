using Grpc.Core;
using Microsoft.AspNetCore.Identity;
using Microsoft.AspNetCore.Identity.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using OtpAuthService.V1;

namespace OtpAuthService.Bench.Rivals;

/// <summary>
/// ASP.NET Core Identity's authenticator provider on EF Core, called as its own sign-in manager calls it. It takes the same OTP any number of
/// times, and an accepted one writes nothing.
/// </summary>
internal sealed class IdentityProvider(UserManager<IdentityUser> users) : OtpAuth.OtpAuthBase
{
    public static void Add(IServiceCollection services, RivalSettings settings)
    {
        services.AddDbContextPool<IdentityRivalDbContext>(options => options.UseNpgsql(settings.Postgres));
        services.AddIdentityCore<IdentityUser>().AddEntityFrameworkStores<IdentityRivalDbContext>().AddDefaultTokenProviders();
        services.AddDataProtection();
    }

    public static async Task CreateTablesAsync(IServiceProvider services)
    {
        await using var scope = services.CreateAsyncScope();
        await scope.ServiceProvider.GetRequiredService<IdentityRivalDbContext>().Database.EnsureCreatedAsync();
    }

    public override async Task<VerifyResponse> Verify(VerifyRequest request, ServerCallContext context)
    {
        var outcome = await users.FindByNameAsync(request.ContractorId) is { } user
            ? await VerifyAsync(user, request.Otp)
            : Outcome.NotRegistered;
        return new VerifyResponse { Outcome = outcome, Decision = outcome == Outcome.Accepted ? Decision.Allow : Decision.Deny };
    }

    private async Task<Outcome> VerifyAsync(IdentityUser user, string otp)
    {
        if (await users.IsLockedOutAsync(user))
        {
            return Outcome.LockedOut;
        }

        if (await users.VerifyTwoFactorTokenAsync(user, TokenOptions.DefaultAuthenticatorProvider, otp))
        {
            await users.ResetAccessFailedCountAsync(user);
            return Outcome.Accepted;
        }

        await users.AccessFailedAsync(user);
        return Outcome.Mismatch;
    }
}

/// <summary>Identity's own tables.</summary>
internal sealed class IdentityRivalDbContext(DbContextOptions<IdentityRivalDbContext> options)
    : IdentityUserContext<IdentityUser>(options);
