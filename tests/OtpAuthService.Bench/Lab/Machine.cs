using System.Globalization;
using System.Text.RegularExpressions;
using Npgsql;
using StackExchange.Redis;

namespace OtpAuthService.Bench.Lab;

/// <summary>What the numbers were measured on. No host name: results are published.</summary>
internal sealed partial record Machine(
    string Processor, int Cores, int MemoryGigabytes, string Kernel, string Runtime, string Postgres, string Redis)
{
    public string Description =>
        $"{Processor}, {Cores} cores, {MemoryGigabytes} GB; Linux {Kernel}, .NET {Runtime}, PostgreSQL {Postgres}, Redis {Redis}";

    /// <summary>For the names of files.</summary>
    public string Slug => NotForFiles().Replace($"{Processor} {Cores} cores".ToLowerInvariant(), "-").Trim('-');

    public static async Task<Machine> DescribeAsync(Stores stores)
    {
        await using var source = NpgsqlDataSource.Create(await stores.Postgres.CreateDatabaseAsync());
        await using var version = source.CreateCommand("SHOW server_version");
        await using var redis = await ConnectionMultiplexer.ConnectAsync(stores.Redis.ConnectionString);
        return new Machine(
            FirstLine("/proc/cpuinfo", "model name"),
            Environment.ProcessorCount,
            (int)Math.Round(double.Parse(FirstLine("/proc/meminfo", "MemTotal").Split(' ')[0], CultureInfo.InvariantCulture) / (1 << 20)),
            Environment.OSVersion.Version.ToString(3),
            Environment.Version.ToString(),
            ((string)(await version.ExecuteScalarAsync())!).Split(' ')[0],
            redis.GetServers()[0].Version.ToString());
    }

    private static string FirstLine(string file, string name) =>
        File.ReadLines(file).First(line => line.StartsWith(name, StringComparison.Ordinal)).Split(':', 2)[1].Trim();

    [GeneratedRegex("[^a-z0-9]+")]
    private static partial Regex NotForFiles();
}
