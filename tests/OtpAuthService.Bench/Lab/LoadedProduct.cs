using Npgsql;
using OtpAuthService.Bench.Populations;
using OtpAuthService.Credentials;
using OtpAuthService.Keys;
using OtpAuthService.Tests.Fixtures;

namespace OtpAuthService.Bench.Lab;

/// <summary>An instance of the product, started on a database of its own, with its contractors in it.</summary>
internal sealed record LoadedProduct(MeasuredServer Server, Population Population, string Database)
{
    /// <param name="published">What is started.</param>
    /// <param name="stores">Where its database is made.</param>
    /// <param name="folder">For its KEK.</param>
    /// <param name="credentials">How many contractors there are, with a credential each.</param>
    /// <param name="authority">Where it is to take mutual TLS as well.</param>
    /// <param name="started">Told of the server at once: it has to be stopped even where loading fails.</param>
    public static async Task<LoadedProduct> StartAsync(
        Publication published, Stores stores, string folder, int credentials, TestAuthority? authority, Action<MeasuredServer> started)
    {
        var database = await stores.Postgres.CreateDatabaseAsync();
        // Each instance is a service of its own, though all use one Redis: what they keep there is told apart by the KEK.
        var kekFile = Path.Combine(folder, $"{new NpgsqlConnectionStringBuilder(database).Database}.kek");
        FileKek.Create(kekFile);
        var server = await MeasuredServer.StartProductAsync(published, database, stores.Redis.ConnectionString, kekFile, authority);
        started(server);
        var population = new Population(credentials);
        using var dataKey = await ProductTables.OpenDataKeyAsync(database, kekFile);
        await ProductTables.LoadAsync(database, population, dataKey);
        return new LoadedProduct(server, population, database);
    }
}
