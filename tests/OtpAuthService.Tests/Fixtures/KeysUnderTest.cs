using System.Security.Cryptography;
using OtpAuthService.Keys;

namespace OtpAuthService.Tests.Fixtures;

public enum KekKind
{
    File,
    Pkcs11,
    Transit,
}

/// <summary>
/// Keys somewhere outside of the service, with a KEK and a key for signing, and what happens to them there: providers and services that use them see it.
/// </summary>
internal abstract class KeysUnderTest : IAsyncDisposable
{
    private readonly List<IKekProvider> opened = [];

    public static async Task<KeysUnderTest> StartAsync(KekKind kind) => kind switch
    {
        KekKind.File => new InFile(),
        KekKind.Pkcs11 => new InModule(await SoftHsm.NewWithKeysAsync()),
        KekKind.Transit => new InServer(await TransitStandIn.StartNewAsync()),
        _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, null),
    };

    /// <summary>In a server that the test deals with itself, and ends.</summary>
    public static KeysUnderTest In(TransitStandIn server) => new InServer(server);

    /// <summary>As a service takes them.</summary>
    public abstract IReadOnlyDictionary<string, string> Settings { get; }

    /// <summary>As one more replica.</summary>
    public IKekProvider Open()
    {
        opened.Add(Make());
        return opened[^1];
    }

    /// <summary>Nobody gets at the keys.</summary>
    public abstract Task TakeAwayAsync();

    public abstract Task BringBackAsync();

    /// <summary>What an operator does before a rotation of the KEK: nothing where the provider makes versions itself.</summary>
    public virtual void LayReady()
    {
    }

    /// <summary>The first version of the KEK is gone for good.</summary>
    public abstract Task RemoveFirstAsync();

    public async ValueTask DisposeAsync()
    {
        opened.ForEach(provider => provider.Dispose());
        await EndAsync();
    }

    protected abstract IKekProvider Make();

    protected abstract ValueTask EndAsync();

    private sealed class InFile : KeysUnderTest
    {
        private readonly string folder = Directory.CreateTempSubdirectory("otpauth-kek-").FullName;

        public InFile() => FileKek.Create(Kek);

        public override IReadOnlyDictionary<string, string> Settings => new Dictionary<string, string> { ["OtpAuth:KekFile"] = Kek };

        private string Kek => Path.Combine(folder, "kek");

        public override Task TakeAwayAsync()
        {
            File.Move(Kek, $"{Kek}.away");
            return Task.CompletedTask;
        }

        public override Task BringBackAsync()
        {
            File.Move($"{Kek}.away", Kek);
            return Task.CompletedTask;
        }

        public override void LayReady() => File.AppendAllText(Kek, Convert.ToBase64String(RandomNumberGenerator.GetBytes(32)) + "\n");

        public override async Task RemoveFirstAsync() => await File.WriteAllLinesAsync(Kek, (await File.ReadAllLinesAsync(Kek)).Skip(1));

        protected override IKekProvider Make() => new FileKek(Kek);

        protected override ValueTask EndAsync()
        {
            Directory.Delete(folder, recursive: true);
            return default;
        }
    }

    private sealed class InModule(SoftHsm token) : KeysUnderTest
    {
        public override IReadOnlyDictionary<string, string> Settings => new Dictionary<string, string>
        {
            ["OtpAuth:Pkcs11:ModuleFile"] = SoftHsm.ModuleFile,
            ["OtpAuth:Pkcs11:TokenLabel"] = token.Label,
            ["OtpAuth:Pkcs11:Pin"] = SoftHsm.Pin,
        };

        public override Task TakeAwayAsync()
        {
            token.TakeAway();
            return Task.CompletedTask;
        }

        public override Task BringBackAsync()
        {
            token.BringBack();
            return Task.CompletedTask;
        }

        public override Task RemoveFirstAsync() => token.ToolAsync("--delete-object", "--type", "secrkey", "--id", "0000000000000001");

        protected override IKekProvider Make() => new Pkcs11Kek(token.Options);

        protected override ValueTask EndAsync()
        {
            token.Dispose();
            return default;
        }
    }

    private sealed class InServer(TransitStandIn server) : KeysUnderTest
    {
        public override IReadOnlyDictionary<string, string> Settings => new Dictionary<string, string>
        {
            ["OtpAuth:Transit:Address"] = server.Options.Address!,
            ["OtpAuth:Transit:Token"] = TransitStandIn.Token,
        };

        public override Task TakeAwayAsync() => server.StopAsync();

        public override Task BringBackAsync() => server.StartAsync();

        public override Task RemoveFirstAsync()
        {
            server.MinDecryptionVersion = 2;
            return Task.CompletedTask;
        }

        protected override IKekProvider Make() => new TransitKek(server.Options);

        protected override ValueTask EndAsync() => server.DisposeAsync();
    }
}
