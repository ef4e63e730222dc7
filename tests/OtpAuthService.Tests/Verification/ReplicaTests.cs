using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Verification;

/// <summary>Two replicas that decide on the same credentials in opposite orders: nobody waits in a circle, and every step is accepted once.</summary>
[TestFixture(StoreKind.Postgres)]
[TestFixture(StoreKind.PostgresRedis)]
public class ReplicaTests(StoreKind kind)
{
    private const int Contractors = 20;

    private StoresUnderTest stores = null!;

    [SetUp]
    public async Task CreateAsync()
    {
        stores = await StoresUnderTest.CreateAsync(kind);
        // Found before any wait is given up, so that none stays hidden.
        await PostgresServer.ExecuteAsync(
            stores.PostgresConnectionString!, "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET deadlock_timeout = 2', current_database()); END $$");
    }

    [TearDown]
    public void Remove() => stores.Dispose();

    [Test]
    public async Task Verify_SharedCredentialsInOppositeOrders_NeverDeadlocksAndAcceptsEachStepOnce()
    {
        await using (var first = await OtpService.StartAsync(stores))
        {
            await using var second = await OtpService.StartAsync(stores, first.Clock);
            var bound = await BindAsync(first);
            for (var round = 0; round < 4; round++)
            {
                first.Clock.Advance(TimeSpan.FromSeconds(30));
                await RoundAsync([first, second], bound);
            }

            // While the row is held nothing goes on, which a busy machine may take for an outage until it is let go.
            Assert.That(first.Errors.Errors.Concat(second.Errors.Errors).Where(e => !e.StartsWith("Not deciding: the database cannot be reached", StringComparison.Ordinal)), Is.Empty);
        }

        // PostgreSQL counts what a session has seen when the session ends.
        await Eventually.IsTrueAsync(
            async () => await ReadAsync("SELECT 'one' FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() LIMIT 1") is null,
            "the services' sessions have ended");
        Assert.That(await ReadAsync("SELECT deadlocks::text FROM pg_stat_database WHERE datname = current_database()"), Is.EqualTo("0"));
    }

    /// <summary>Contractors whose credential is bound at both institutions.</summary>
    private static async Task<List<(string Contractor, SoftToken Token)>> BindAsync(OtpService service)
    {
        var bound = new List<(string Contractor, SoftToken Token)>();
        for (var n = 0; n < Contractors; n++)
        {
            bound.Add(await service.RegisteredAsync("demo"));
        }

        service.Clock.Advance(TimeSpan.FromSeconds(30));
        foreach (var (contractor, token) in bound)
        {
            var id = Calls.NewRequestId();
            await Calls.DecidedAsync(
                () => service.Auth.RegisterAsync(contractor, token.CredentialId, token.At(service.Clock.GetUtcNow(), -1), id, "minato"));
        }

        return bound;
    }

    /// <summary>One replica's batch goes up the credentials, the other's down, and both meet a row in the middle that is held until they wait.</summary>
    private async Task RoundAsync(OtpService[] replicas, List<(string Contractor, SoftToken Token)> bound)
    {
        var now = replicas[0].Clock.GetUtcNow();
        var before = await replicas[0].TracesAsync();
        var answers = new List<Task<(int Contractor, VerifyResponse Answer)>>();
        await using (await HeldRow.CredentialAsync(stores, bound[Contractors / 2].Token.CredentialId))
        {
            var up = await HeldLedger.OfAsync(replicas[0]);
            var down = await HeldLedger.OfAsync(replicas[1]);
            for (var n = 0; n < Contractors; n++)
            {
                var (low, high) = (n, Contractors - 1 - n);
                answers.Add(await up.SendAsync(() => VerifyAsync(replicas[0], low, "demo", wrong: false)));
                answers.Add(await down.SendAsync(() => VerifyAsync(replicas[1], high, "minato", wrong: false)));
            }

            // Those in a turn: a replay that waits for the first of its credential, and a wrong one.
            answers.AddRange(await up.SendAllAsync(All(n => VerifyAsync(replicas[0], n, "minato", wrong: true))));
            answers.AddRange(await down.SendAllAsync(All(n => VerifyAsync(replicas[1], Contractors - 1 - n, "demo", wrong: false))));
            await Task.WhenAll(up.DisposeAsync().AsTask(), down.DisposeAsync().AsTask(), HeldRow.IsWaitedForAsync(stores));
        }

        foreach (var ofOne in (await Task.WhenAll(answers)).GroupBy(a => a.Contractor))
        {
            Assert.That(
                ofOne.Select(a => a.Answer.Outcome),
                Is.EquivalentTo(new[] { Outcome.Accepted, Outcome.AlreadyUsed, Outcome.AlreadyUsed, Outcome.Mismatch }),
                $"contractor {ofOne.Key}");
        }

        var after = await replicas[0].TracesAsync();
        Assert.That(
            (after.AuditRecords - before.AuditRecords, after.Answers - before.Answers), Is.EqualTo((answers.Count, answers.Count)), "one record each");

        async Task<(int, VerifyResponse)> VerifyAsync(OtpService replica, int n, string institution, bool wrong)
        {
            var (contractor, token) = bound[n];
            var requestId = Calls.NewRequestId();
            var otp = wrong ? token.WrongAt(now) : token.At(now);
            return (n, await Calls.DecidedAsync(() => replica.Auth.VerifyAsync(contractor, otp, requestId, institution), attempts: 20));
        }
    }

    private static IEnumerable<Func<Task<T>>> All<T>(Func<int, Task<T>> call) => Enumerable.Range(0, Contractors).Select(n => (Func<Task<T>>)(() => call(n)));

    private Task<string?> ReadAsync(string sql) => PostgresServer.ReadAsync(stores.PostgresConnectionString! + ";Pooling=false", sql);
}
