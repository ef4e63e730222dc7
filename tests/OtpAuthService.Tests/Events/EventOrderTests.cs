using Grpc.Core;
using Npgsql;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Events;

/// <summary>Transactions end in any order, also on several replicas: no event is passed over, and a contractor's come as they happened.</summary>
[TestFixture]
public class EventOrderTests
{
    private OtpService service = null!;

    private DateTimeOffset Now => service.Clock.GetUtcNow();

    [SetUp]
    public async Task StartAsync() => service = await OtpService.StartAsync(StoreKind.Postgres);

    [TearDown]
    public async Task StopAsync()
    {
        Assert.That(service.Errors.Errors, Is.Empty);
        await service.DisposeAsync();
    }

    /// <summary>A transaction that has its number but is not committed yet: what was committed after it waits, and is told after it.</summary>
    [Test]
    public async Task Event_OfATransactionUnderWay_IsNotPassedOver()
    {
        var postgres = service.Stores.PostgresConnectionString!;
        var (first, _) = await service.RegisteredAsync();
        using var listening = service.Operations.StreamEvents(new() { InstitutionId = "demo" });
        Assert.That((await listening.NextAsync()).ContractorId, Is.EqualTo(first));
        await using var connection = new NpgsqlConnection(postgres);
        await connection.OpenAsync();
        await using var underWay = await connection.BeginTransactionAsync();
        await using (var insert = new NpgsqlCommand(
            """
            INSERT INTO events (event_id, institution_id, contractor_id, kind, occurred_at, rpc, request_id)
            SELECT gen_random_uuid(), institution_id, 'slow', kind, occurred_at, rpc, request_id FROM events
            """,
            connection))
        {
            await insert.ExecuteNonQueryAsync();
        }

        var (second, _) = await service.RegisteredAsync();
        var reading = service.Operations.EventsUntilNowAsync();
        // Nothing of the second one can come before the transaction ends, whatever the readers do in the meantime.
        var next = listening.NextAsync();
        await HaveLookedAsync();
        Assert.That((reading.IsCompleted, next.IsCompleted), Is.EqualTo((false, false)));

        await underWay.CommitAsync();

        Assert.That((await reading).Select(e => e.ContractorId), Is.EqualTo(new[] { first, "slow", second }));
        Assert.That((await next).ContractorId, Is.EqualTo("slow"));
        Assert.That((await listening.NextAsync()).ContractorId, Is.EqualTo(second));

        async Task HaveLookedAsync()
        {
            for (var times = 0; times < 3; times++)
            {
                var began = await PostgresServer.ReadAsync(postgres, "SELECT clock_timestamp()::text");
                await Eventually.IsTrueAsync(
                    async () => await PostgresServer.ReadAsync(
                        postgres,
                        $"SELECT 'seen' FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_snapshot_xmin%' AND query NOT LIKE '%pg_stat_activity%' AND query_start > '{began}' LIMIT 1") is not null,
                    "readers have looked");
            }
        }
    }

    /// <summary>One that is rolled back leaves a gap, which is nothing to wait for.</summary>
    [Test]
    public async Task Event_OfATransactionThatWasRolledBack_IsNotWaitedFor()
    {
        var (first, _) = await service.RegisteredAsync();
        await service.ExecuteAsync("SELECT next_event_id() FROM generate_series(1, 1000)");
        var (second, _) = await service.RegisteredAsync();
        Assert.That((await service.Operations.EventsUntilNowAsync()).Select(e => e.ContractorId), Is.EqualTo(new[] { first, second }));
    }

    /// <summary>Two replicas decide, two listen, and a third reader comes again for every event.</summary>
    [Test]
    public async Task Readers_WhileReplicasDecide_AreToldEachEventOnceAndEachContractorsInOrder()
    {
        await using var replica = await OtpService.StartAsync(service.Stores, service.Clock);
        OtpService[] replicas = [service, replica];
        const int Contractors = 20;
        // Registered; stopped and resumed, by either replica, four times each.
        const int Each = 9;
        var listening = replicas.Select(r => ListenAsync(r, Contractors * Each)).Append(ComeAgainAsync(Contractors * Each)).ToList();

        await Task.WhenAll(Enumerable.Range(0, Contractors).Select(async n =>
        {
            var (contractor, _) = await replicas[n % 2].RegisteredAsync();
            for (var i = 0; i < 4; i++)
            {
                var (stop, resume) = (Calls.NewRequestId(), Calls.NewRequestId());
                await Calls.DecidedAsync(() => replicas[i % 2].Operations.SuspendBindingAsync(contractor, stop));
                await Calls.DecidedAsync(() => replicas[(n + i) % 2].Operations.ResumeBindingAsync(contractor, resume));
            }
        }));

        var told = await Task.WhenAll(listening);
        Assert.That(told[1].Select(e => e.EventId), Is.EqualTo(told[0].Select(e => e.EventId)));
        Assert.That(told[2].Select(e => e.EventId), Is.EqualTo(told[0].Select(e => e.EventId)));
        Assert.That(told[0].Select(e => e.EventId), Is.Unique);
        EventKind[] life = [EventKind.Registered, .. Enumerable.Range(0, 8).Select(i => i % 2 == 0 ? EventKind.Stopped : EventKind.Resumed)];
        Assert.That(told[0].GroupBy(e => e.ContractorId).Select(c => c.Select(e => e.Kind)), Is.All.EqualTo(life));
    }

    /// <summary>As the contract says: goes on after the last one where the stream breaks off, as on a busy machine.</summary>
    private static async Task<List<StreamEventsResponse>> ListenAsync(OtpService at, int count)
    {
        var told = new List<StreamEventsResponse>();
        while (told.Count < count)
        {
            using var call = at.Operations.StreamEvents(new() { InstitutionId = "demo", ResumeToken = told.Count == 0 ? "" : told[^1].ResumeToken });
            try
            {
                while (told.Count < count)
                {
                    told.Add(await call.NextAsync());
                }
            }
            catch (RpcException busy) when (busy.StatusCode == StatusCode.Unavailable)
            {
                // Asked again at once: the deadline of the reading was the pause.
            }
        }

        return told;
    }

    private async Task<List<StreamEventsResponse>> ComeAgainAsync(int count)
    {
        var told = new List<StreamEventsResponse>();
        while (told.Count < count)
        {
            try
            {
                told.AddRange(await service.Operations.EventsUntilNowAsync(told.Count == 0 ? "" : told[^1].ResumeToken));
            }
            catch (RpcException busy) when (busy.StatusCode == StatusCode.Unavailable)
            {
                // As above.
            }
        }

        return told;
    }
}
