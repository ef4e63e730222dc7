using Microsoft.Extensions.DependencyInjection;
using Npgsql;
using OtpAuthService.Storage;
using OtpAuthService.Submissions;
using OtpAuthService.Tests.Fixtures;

namespace OtpAuthService.Tests.Submissions;

[TestFixture]
public class ProposalStatementTests
{
    private static readonly string[] Tables = ["credentials", "answers"];

    /// <summary>A table may have been empty when it was last counted, and have a million rows a week later: the plan is the same.</summary>
    [Test]
    public async Task Plan_OnEmptyAndOnFilledTables_TakesEveryRowByItsKey()
    {
        await using var service = await OtpService.StartAsync(StoreKind.Postgres);
        var empty = await ExplainAsync(service);
        for (var i = 0; i < 30; i++)
        {
            await service.RegisteredAsync();
        }

        var filled = await ExplainAsync(service);

        foreach (var table in Tables)
        {
            Assert.That(empty, Does.Not.Contain($"Seq Scan on {table}").And.Match($"Index (Only )?Scan using \\w+ on {table}"));
            Assert.That(filled, Does.Not.Contain($"Seq Scan on {table}").And.Match($"Index (Only )?Scan using \\w+ on {table}"));
        }

        // A nested loop keeps the order of its input, in which the rows are locked.
        Assert.That(empty + filled, Does.Not.Contain("Hash Join").And.Not.Contain("Merge Join").And.Not.Contain("Bitmap"));
    }

    private static async Task<string> ExplainAsync(OtpService service)
    {
        await using var connection = await service.Services.GetRequiredService<StoreSet>().OpenDirectAsync(CancellationToken.None);
        await ExecuteAsync("ANALYZE");
        await ExecuteAsync("SET plan_cache_mode = force_generic_plan");
        await ExecuteAsync(
            $"""
             PREPARE proposals (uuid[], bytea[], text[], text[], text[], text[], text[], smallint[], smallint[], bigint[], bigint[], smallint[], bigint[],
                 smallint[], smallint[], bigint[], integer[], bigint, boolean, integer[], bytea[], integer, bigint, bytea, integer[],
                 bigint[], smallint[], text[]) AS {ProposalStatement.Sql}
             """);
        await using var explain = new NpgsqlCommand($"EXPLAIN EXECUTE proposals ({string.Join(", ", Enumerable.Repeat("NULL", 28))})", connection);
        var lines = new List<string>();
        await using (var rows = await explain.ExecuteReaderAsync())
        {
            while (await rows.ReadAsync())
            {
                lines.Add(rows.GetString(0));
            }
        }

        await ExecuteAsync("DEALLOCATE proposals");
        return string.Join('\n', lines);

        async Task ExecuteAsync(string sql)
        {
            await using var command = new NpgsqlCommand(sql, connection);
            await command.ExecuteNonQueryAsync();
        }
    }
}
