using OtpAuthService.Bench.Lab;
using OtpAuthService.Bench.Populations;
using OtpAuthService.Credentials;
using OtpAuthService.Keys;

namespace OtpAuthService.Bench.Abuse;

/// <summary>The published service on a PostgreSQL and a Redis of its own, with contractors to ask about.</summary>
internal sealed class AbuseLab : IAsyncDisposable
{
    public const int Contractors = 1_000;

    private readonly string folder = Directory.CreateTempSubdirectory("otpauth-abuse-").FullName;

    public Stores Stores { get; private set; } = null!;

    public string Database { get; private set; } = "";

    public MeasuredServer Server { get; private set; } = null!;

    public async Task SetUpAsync()
    {
        var publishing = Publication.MakeAsync(Path.Combine(folder, "published"));
        Stores = await Stores.StartAsync();
        var database = await Stores.Postgres.CreateDatabaseAsync();
        Database = database;
        var kekFile = Path.Combine(folder, "kek");
        FileKek.Create(kekFile);
        Server = await MeasuredServer.StartProductAsync(await publishing, database, Stores.Redis.ConnectionString, kekFile);
        await ProductTables.LoadAsync(database, new Population(Contractors), await ProductTables.OpenDataKeyAsync(database, kekFile));
    }

    public async ValueTask DisposeAsync()
    {
        Server?.Dispose();
        if (Stores is { } stores)
        {
            await stores.DisposeAsync();
        }

        Directory.Delete(folder, recursive: true);
    }
}
