using System.Diagnostics;
using OtpAuthService.Hosting;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;
using StatusCode = Grpc.Core.StatusCode;

namespace OtpAuthService.Tests.Keys;

/// <summary>Services whose settings or whose provider are wrong in a way of their own.</summary>
internal sealed class KeySettingsTests
{
    [Test]
    public async Task Start_WithAWrongPin_IsRefusedWithASentenceThatDoesNotQuoteIt()
    {
        using var token = await SoftHsm.NewWithKeysAsync();
        const string wrong = "31415926";

        var refused = await RefusedAsync(
            $"--OtpAuth:Pkcs11:ModuleFile={SoftHsm.ModuleFile}", $"--OtpAuth:Pkcs11:TokenLabel={token.Label}", $"--OtpAuth:Pkcs11:Pin={wrong}");

        Assert.That(refused, Does.StartWith("The KEK provider cannot be used: ").And.Contain("PIN").And.Not.Contain(wrong));
    }

    [Test]
    public async Task Start_WithAWrongToken_IsRefusedWithASentenceThatDoesNotQuoteIt()
    {
        await using var server = await TransitStandIn.StartNewAsync();
        const string wrong = "hvs.wrong-0123456789";

        var refused = await RefusedAsync($"--OtpAuth:Transit:Address={server.Options.Address}", $"--OtpAuth:Transit:Token={wrong}");

        Assert.That(refused, Does.StartWith("The KEK provider cannot be used: ").And.Contain("token").And.Not.Contain(wrong));
    }

    /// <summary>One after the other, they would each wait for the provider's own time limits.</summary>
    [Test]
    public async Task Verify_ManyWhileTheProviderHangs_AreAllRefusedWithinASecondOrSo()
    {
        await using var server = await TransitStandIn.StartNewAsync();
        using var stores = await StoresUnderTest.CreateAsync(StoreKind.PostgresRedis, keys: KeysUnderTest.In(server));
        await using var service = await OtpService.StartAsync(stores);
        var (contractor, token) = await service.RegisteredAsync();
        server.Hangs = true;
        service.Clock.Advance(TimeSpan.FromHours(1));
        await Eventually.IsTrueAsync(async () => await FailsAsync(), "keys are too old");

        var took = Stopwatch.StartNew();
        var refused = await Task.WhenAll(Enumerable.Range(0, 32).Select(
            _ => Refusal.OfAsync(async () => await service.Auth.VerifyAsync(contractor, token.At(service.Clock.GetUtcNow())))));

        Assert.That(took.Elapsed, Is.LessThan(TimeSpan.FromSeconds(1.5)));
        Assert.That(refused.Select(r => (r.Code, r.Info?.Reason)), Is.All.EqualTo((StatusCode.Unavailable, "KEYS_UNAVAILABLE")));
        server.Hangs = false;
        await Eventually.IsTrueAsync(async () => !await FailsAsync(), "keys are open again");

        async Task<bool> FailsAsync()
        {
            try
            {
                // Malformed for the credential: read and opened, but neither claimed nor counted.
                await service.Auth.VerifyAsync(contractor, "12345678");
                return false;
            }
            catch (Grpc.Core.RpcException error)
            {
                return error.StatusCode == StatusCode.Unavailable;
            }
        }
    }

    private static async Task<string> RefusedAsync(params string[] settings)
    {
        using var stores = await StoresUnderTest.CreateAsync(StoreKind.Sqlite);
        return (await Assert.ThrowsAsync<StartRefusedException>(() => OtpService.StartAsync(stores, settings: settings)))!.Message;
    }
}
