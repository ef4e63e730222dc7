using Grpc.Core;
using Npgsql;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;
using OtpNet;

namespace OtpAuthService.Tests.Credentials;

/// <summary>Imports that take their time: what they hold in memory, and what is left of them where somebody is killed or gone in the middle.</summary>
[TestFixture(StoreKind.Sqlite)]
[TestFixture(StoreKind.Postgres)]
public class LongImportTests(StoreKind kind)
{
    private StoresUnderTest stores = null!;

    [SetUp]
    public async Task CreateStoresAsync() => stores = await StoresUnderTest.CreateAsync(kind);

    [TearDown]
    public void RemoveStores() => stores.Dispose();

    /// <summary>A file of 25 MB is never held: neither as it came, nor as what was read of it.</summary>
    [Test]
    public async Task Import_LongFile_IsHeldInBoundedMemory()
    {
        const int many = 40_000, few = 2_000;
        await using var service = await OtpService.StartAsync(stores);
        // Once for all that is made at first use.
        await service.Operations.ImportAsync(new() { Format = ImportFormat.Pskc, DryRun = true }, SupplyStream.Pieces(few));
        var before = GC.GetTotalMemory(forceFullCollection: true);
        using var ended = new CancellationTokenSource();
        var watching = WatchAsync(ended.Token);

        var answer = await service.Operations.ImportAsync(new() { Format = ImportFormat.Pskc }, SupplyStream.Pieces(many));
        await ended.CancelAsync();

        var (most, samples) = await watching;
        Assert.That(answer.Imported, Is.EqualTo(many));
        Assert.That(samples, Is.GreaterThan(5), "it was looked at often enough");
        Assert.That((most - before) / 1024.0 / 1024.0, Is.LessThan(6), "MiB that live at once");
        await AssertVerifiesAsync(service, many - 1);

        static async Task<(long Most, int Samples)> WatchAsync(CancellationToken stop)
        {
            var (most, samples) = (0L, 0);
            while (!stop.IsCancellationRequested)
            {
                most = Math.Max(most, GC.GetTotalMemory(forceFullCollection: true));
                samples++;
                await Task.Delay(50, CancellationToken.None);
            }

            return (most, samples);
        }
    }

    [Test]
    public async Task Service_KilledWhileAFileArrives_HasNothingOfIt()
    {
        const int many = 5_000;
        var requestId = Calls.NewRequestId();
        await using (var killed = await ServiceProcess.StartAsync(stores))
        {
            using var call = killed.Operations.ImportCredentials();
            await call.RequestStream.WriteAsync(new() { Header = Header(requestId) });
            // All but the end, so that it waits for that.
            foreach (var piece in SupplyStream.Pieces(many).SkipLast(1))
            {
                await call.RequestStream.WriteAsync(new() { Chunk = Google.Protobuf.ByteString.CopyFrom(piece) });
            }
        }

        await AssertNothingThenAllAsync(requestId, many);
    }

    [Test]
    public async Task Service_KilledWhileAFileIsTakenIn_HasNothingOfIt()
    {
        const int many = 60_000;
        var requestId = Calls.NewRequestId();
        Task<ImportCredentialsResponse> importing;
        await using (var killed = await ServiceProcess.StartAsync(stores))
        {
            importing = killed.Operations.ImportAsync(Header(requestId), SupplyStream.Pieces(many));
            await Eventually.IsTrueAsync(async () => importing.IsCompleted || await IsBeingTakenInAsync(), "it is being taken in", 60);
            Assert.That(importing.IsCompleted, Is.False, "it was killed in the middle");
        }

        Assert.That(async () => await importing, Throws.InstanceOf<RpcException>());
        await AssertNothingThenAllAsync(requestId, many);
    }

    [Test]
    public async Task Caller_GoneInTheMiddle_LeavesNothingAndNoPlaceTaken()
    {
        const int many = 5_000;
        await using var service = await OtpService.StartAsync(stores);
        var before = await service.TracesAsync();
        for (var i = 0; i < 5; i++)
        {
            using var call = service.Operations.ImportCredentials();
            await call.RequestStream.WriteAsync(new() { Header = Header(Calls.NewRequestId()) });
            foreach (var piece in SupplyStream.Pieces(many).Take(20))
            {
                await call.RequestStream.WriteAsync(new() { Chunk = Google.Protobuf.ByteString.CopyFrom(piece) });
            }

            call.Dispose();
            // Until the service has noticed.
            await Eventually.IsTrueAsync(async () => await CanImportAsync(service), "its place is free");
        }

        Assert.That(await service.TracesAsync(), Is.EqualTo(before));
        Assert.That(service.Errors.Errors, Is.Empty);
    }

    /// <summary>What was wrapped when the file began must not be written once the data key is gone: nothing would ever open it.</summary>
    [Test]
    public async Task DataKey_ReplacedWhileAFileArrives_IsNotWrittenUnder()
    {
        await using var service = await OtpService.StartAsync(stores);
        using var call = service.Operations.ImportCredentials();
        var pieces = SupplyStream.Pieces(200).ToList();
        await call.RequestStream.WriteAsync(new() { Header = Header(Calls.NewRequestId()) });
        await call.RequestStream.WriteAsync(new() { Chunk = Google.Protobuf.ByteString.CopyFrom(pieces[0]) });
        var old = (await service.DataKeysAsync()).Where(k => k.Use == OtpAuthService.Keys.DataKeyUse.Credentials).Select(k => k.Version).Single();
        // Another import of as many credentials began after it: so this one has begun to wrap.
        await service.Operations.ImportAsync(new() { Format = ImportFormat.Pskc, DryRun = true }, SupplyStream.Pieces(200));

        await service.Operations.RotateAsync(KeyKind.DataKey);
        service.Clock.Advance(TimeSpan.FromMinutes(2));
        await Eventually.IsTrueAsync(async () => (await service.DataKeysAsync()).TrueForAll(k => k.Version != old), "the old data key is gone", 30);
        foreach (var piece in pieces.Skip(1))
        {
            await call.RequestStream.WriteAsync(new() { Chunk = Google.Protobuf.ByteString.CopyFrom(piece) });
        }

        await call.RequestStream.CompleteAsync();
        var error = await Assert.ThrowsAsync<RpcException>(async () => await call);
        Assert.That(error!.StatusCode, Is.EqualTo(StatusCode.Unavailable));
        Assert.That(error.Status.Detail, Does.Contain("a data key was replaced while the file arrived"));
        Assert.That((await service.Operations.ImportAsync(Header(Calls.NewRequestId()), SupplyStream.Pieces(200))).Imported, Is.EqualTo(200));
        await AssertVerifiesAsync(service, 0);
    }

    private async Task AssertNothingThenAllAsync(string requestId, int many)
    {
        await using var service = await OtpService.StartAsync(stores);
        Assert.That((await service.TracesAsync()).Credentials, Is.Zero.Or.EqualTo(1), "nothing but what a first start issues");

        var answer = await service.Operations.ImportAsync(Header(requestId), SupplyStream.Pieces(many));

        Assert.That((answer.Imported, answer.Repeated), Is.EqualTo((many, false)));
        await AssertVerifiesAsync(service, many / 2);
    }

    /// <summary>PostgreSQL tells; SQLite's log grows long before its transaction ends.</summary>
    private async Task<bool> IsBeingTakenInAsync()
    {
        if (kind == StoreKind.Sqlite)
        {
            return new FileInfo(stores.DatabaseFile + "-wal") is { Exists: true, Length: > 4_000_000 };
        }

        await using var source = NpgsqlDataSource.Create(stores.PostgresConnectionString!);
        await using var copied = source.CreateCommand("SELECT count(*) FROM pg_stat_progress_copy WHERE tuples_processed > 500 AND datname = current_database()");
        return (long)(await copied.ExecuteScalarAsync())! > 0;
    }

    private static ImportCredentialsHeader Header(string requestId) => new() { RequestId = requestId, InstitutionId = "demo", Format = ImportFormat.Pskc };

    private static async Task<bool> CanImportAsync(OtpService service)
    {
        try
        {
            // Twice at once, for there are two places.
            var both = Enumerable.Range(0, 2).Select(_ => service.Operations.ImportAsync(new() { Format = ImportFormat.Pskc, DryRun = true }, SupplyStream.Pieces(1)));
            await Task.WhenAll(both);
            return true;
        }
        catch (RpcException busy) when (busy.StatusCode == StatusCode.ResourceExhausted)
        {
            return false;
        }
    }

    private static async Task AssertVerifiesAsync(OtpService service, int number)
    {
        var otp = new Totp(SupplyStream.KeyOf(number)).ComputeTotp(service.Clock.GetUtcNow().UtcDateTime);
        Assert.That((await service.Auth.RegisterAsync(Calls.NewContractor(), SupplyStream.IdOf(number), otp)).Outcome, Is.EqualTo(Outcome.Accepted));
    }
}
