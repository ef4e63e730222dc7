using OtpAuthService.Keys;

namespace OtpAuthService.Tests.Fixtures;

public enum KekKind
{
    Pkcs11,
    Transit,
}

/// <summary>Keys somewhere outside of the service, with a KEK and a key for signing, and providers that use them.</summary>
internal sealed class KeysUnderTest(Func<IKekProvider> open, Func<ValueTask> end) : IAsyncDisposable
{
    private readonly List<IKekProvider> opened = [];

    public static async Task<KeysUnderTest> StartAsync(KekKind kind)
    {
        switch (kind)
        {
            case KekKind.Pkcs11:
                var token = await SoftHsm.NewWithKeysAsync();
                return new KeysUnderTest(() => new Pkcs11Kek(token.Options), () =>
                {
                    token.Dispose();
                    return default;
                });
            case KekKind.Transit:
                var server = await TransitStandIn.StartNewAsync();
                return new KeysUnderTest(() => new TransitKek(server.Options), server.DisposeAsync);
            default:
                throw new ArgumentOutOfRangeException(nameof(kind), kind, null);
        }
    }

    /// <summary>As one more replica.</summary>
    public IKekProvider Open()
    {
        opened.Add(open());
        return opened[^1];
    }

    public async ValueTask DisposeAsync()
    {
        opened.ForEach(provider => provider.Dispose());
        await end();
    }
}
