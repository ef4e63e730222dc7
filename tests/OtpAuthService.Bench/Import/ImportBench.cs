using System.Diagnostics;
using System.Globalization;
using Google.Protobuf;
using Grpc.Net.Client;
using OtpAuthService.Bench.Client;
using OtpAuthService.Bench.Lab;
using OtpAuthService.Bench.Populations;
using OtpAuthService.Bench.Reporting;
using OtpAuthService.Keys;
using OtpAuthService.Tests.Credentials;
using OtpAuthService.V1;

namespace OtpAuthService.Bench.Import;

/// <summary>Sends the published service a long supplier's file that is made on the way: first to look at, then to take in.</summary>
internal sealed class ImportBench(int credentials, ProgressLine progress) : IAsyncDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("otpauth-import-").FullName;
    private Stores stores = null!;
    private MeasuredServer server = null!;

    public async Task<List<ImportRound>> RunAsync(CancellationToken cancellation)
    {
        progress.Show("publishing the service, starting PostgreSQL and Redis");
        var published = await Publication.MakeAsync(Path.Combine(folder, "published"));
        stores = await Stores.StartAsync();
        var kek = Path.Combine(folder, "kek");
        FileKek.Create(kek);
        server = await MeasuredServer.StartProductAsync(published, await stores.Postgres.CreateDatabaseAsync(), stores.Redis.ConnectionString, kek);

        // Once, so that the compiler has seen it all.
        await ImportAsync("warming up", dryRun: true, 10_000, cancellation);
        return
        [
            await ImportAsync("dry run", dryRun: true, credentials, cancellation),
            await ImportAsync("import", dryRun: false, credentials, cancellation),
        ];
    }

    public Task<Machine> DescribeMachineAsync() => Machine.DescribeAsync(stores);

    public async ValueTask DisposeAsync()
    {
        server?.Dispose();
        if (stores is not null)
        {
            await stores.DisposeAsync();
        }

        Directory.Delete(folder, recursive: true);
    }

    private async Task<ImportRound> ImportAsync(string name, bool dryRun, int count, CancellationToken cancellation)
    {
        progress.Show(name);
        ForgetPeak();
        var (began, cpu, database, before) = (
            Stopwatch.GetTimestamp(), ProcessTime.Seconds(server.ProcessId), ProcessTime.SecondsWithChildren(stores.Postgres.ProcessId), PeakBytes());
        using var channel = GrpcChannel.ForAddress(server.Plain.Address);
        using var call = new OtpOperations.OtpOperationsClient(channel).ImportCredentials(cancellationToken: cancellation);
        await call.RequestStream.WriteAsync(
            new()
            {
                Header = new() { RequestId = RequestIds.Next(), InstitutionId = Population.Institution, Format = ImportFormat.Pskc, DryRun = dryRun },
            },
            cancellation);
        var bytes = 0L;
        foreach (var piece in SupplyStream.Pieces(count))
        {
            await call.RequestStream.WriteAsync(new() { Chunk = UnsafeByteOperations.UnsafeWrap(piece) }, cancellation);
            bytes += piece.Length;
        }

        await call.RequestStream.CompleteAsync();
        var sent = Stopwatch.GetElapsedTime(began);
        progress.Show($"{name}: sent, waiting for the answer");
        var answer = await call;
        return answer.Imported == count
            ? new ImportRound(
                name, count, bytes, sent, Stopwatch.GetElapsedTime(began), before, PeakBytes(),
                ProcessTime.Seconds(server.ProcessId) - cpu, ProcessTime.SecondsWithChildren(stores.Postgres.ProcessId) - database)
            : throw new LoadFailedException($"{answer.Imported} of {count} credentials were imported");
    }

    /// <summary>The highest that the service's resident memory was since <see cref="ForgetPeak"/> (proc(5), VmHWM).</summary>
    private long PeakBytes()
    {
        var line = File.ReadLines($"/proc/{server.ProcessId}/status").First(l => l.StartsWith("VmHWM:", StringComparison.Ordinal));
        return 1024 * long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
    }

    private void ForgetPeak() => File.WriteAllText($"/proc/{server.ProcessId}/clear_refs", "5");
}

/// <summary>One file.</summary>
/// <param name="Name">What was asked for.</param>
/// <param name="Credentials">How many are in it.</param>
/// <param name="Bytes">How long it is.</param>
/// <param name="Sent">Until its last piece was taken.</param>
/// <param name="Took">Until the answer.</param>
/// <param name="BytesBefore">Resident memory of the service before.</param>
/// <param name="PeakBytes">The highest during it.</param>
/// <param name="ServerSeconds">Processor time of the service.</param>
/// <param name="DatabaseSeconds">Processor time of PostgreSQL.</param>
internal sealed record ImportRound(
    string Name, int Credentials, long Bytes, TimeSpan Sent, TimeSpan Took, long BytesBefore, long PeakBytes, double ServerSeconds, double DatabaseSeconds)
{
    private const double MiB = 1024 * 1024;

    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"{Name}: {Credentials:N0} credentials, {Bytes / MiB:N0} MiB, in {Took.TotalSeconds:N1} s ({Sent.TotalSeconds:N1} s until it was sent): {Credentials / Took.TotalSeconds:N0}/s; "
        + $"memory of the service {BytesBefore / MiB:N0} MiB before, {PeakBytes / MiB:N0} MiB at its peak; CPU service {ServerSeconds:N1} s, PostgreSQL {DatabaseSeconds:N1} s");
}
