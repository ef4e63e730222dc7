using System.Diagnostics;
using System.Security.Cryptography;
using Grpc.Net.Client;
using Npgsql;
using NpgsqlTypes;
using OtpAuthService.Audit;
using OtpAuthService.Bench.Abuse;
using OtpAuthService.Bench.Client;
using OtpAuthService.Bench.Lab;
using OtpAuthService.Bench.Populations;
using OtpAuthService.Bench.Reporting;
using OtpAuthService.Callers;
using OtpAuthService.Institutions;
using OtpAuthService.Submissions;
using OtpAuthService.V1;
using OtpAuthService.Verification;
using AuditRecord = OtpAuthService.Audit.AuditRecord;

namespace OtpAuthService.Bench.Audit;

/// <summary>Fills the published service's table with chains of records, as it would have written them, and has them verified.</summary>
internal sealed class AuditBench(int records, ProgressLine progress) : IAsyncDisposable
{
    private const int Chains = 4;

    private const string Copy =
        $"COPY audit_trail (chain_id, position, hash, {AuditContent.Columns}) FROM STDIN (FORMAT BINARY)";

    private readonly AbuseLab lab = new();

    public async Task<List<AuditRound>> RunAsync(int rounds, CancellationToken cancellation)
    {
        progress.Show("publishing the service, starting PostgreSQL and Redis");
        await lab.SetUpAsync();
        progress.Show($"writing {records:N0} records");
        await WriteAsync(cancellation);

        using var channel = GrpcChannel.ForAddress(lab.Server.Plain.Address);
        var service = new OtpOperations.OtpOperationsClient(channel);
        var measured = new List<AuditRound>();
        for (var round = 1; round <= rounds; round++)
        {
            progress.Show($"verifying, round {round} of {rounds}");
            measured.Add(await VerifyAsync(service, cancellation));
        }

        await RequireFindingAsync(service, cancellation);
        return measured;
    }

    public Task<Machine> DescribeMachineAsync() => Machine.DescribeAsync(lab.Stores);

    public ValueTask DisposeAsync() => lab.DisposeAsync();

    private async Task<AuditRound> VerifyAsync(OtpOperations.OtpOperationsClient service, CancellationToken cancellation)
    {
        var (began, server, database) = (Stopwatch.GetTimestamp(), ServerSeconds, DatabaseSeconds);
        var (looked, finding) = await LookAsync(service, cancellation);
        if (finding is not null || looked < records)
        {
            throw new LoadFailedException($"{looked} of {records} records were looked at: {finding}");
        }

        return new AuditRound(looked, Stopwatch.GetElapsedTime(began), ServerSeconds - server, DatabaseSeconds - database);
    }

    /// <summary>What was measured is to be a verification: the last record altered has to be found.</summary>
    private async Task RequireFindingAsync(OtpOperations.OtpOperationsClient service, CancellationToken cancellation)
    {
        await using var source = NpgsqlDataSource.Create(lab.Database);
        await using var alter = source.CreateCommand(
            $"UPDATE audit_trail SET outcome = 3 WHERE chain_id = {Chains} AND position = (SELECT max(position) FROM audit_trail WHERE chain_id = {Chains})");
        await alter.ExecuteNonQueryAsync(cancellation);
        if (await LookAsync(service, cancellation) is not { Finding.Kind: AuditFindingKind.Altered })
        {
            throw new LoadFailedException("an altered record was not found");
        }
    }

    private static async Task<(long Records, AuditFinding? Finding)> LookAsync(OtpOperations.OtpOperationsClient service, CancellationToken cancellation)
    {
        var looked = 0L;
        var request = new VerifyAuditRequest { InstitutionId = Population.Institution };
        while (true)
        {
            var answer = await service.VerifyAuditAsync(request, cancellationToken: cancellation);
            looked += answer.Records;
            if (answer.Finding is not null || (answer.NextChainId, answer.NextPosition) == (0, 0))
            {
                return (looked, answer.Finding);
            }

            (request.ChainId, request.Position) = (answer.NextChainId, answer.NextPosition);
        }
    }

    private double ServerSeconds => ProcessTime.Seconds(lab.Server.ProcessId);

    private double DatabaseSeconds => ProcessTime.SecondsWithChildren(lab.Stores.Postgres.ProcessId);

    private async Task WriteAsync(CancellationToken cancellation)
    {
        await using var source = NpgsqlDataSource.Create(lab.Database);
        for (var chain = 1; chain <= Chains; chain++)
        {
            var beginning = RandomNumberGenerator.GetBytes(SHA256.HashSizeInBytes);
            await using (var open = source.CreateCommand(
                "INSERT INTO audit_chains (id, beginning, opened_at, retired_position) OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, 0)"))
            {
                open.Parameters.AddWithValue(chain);
                open.Parameters.AddWithValue(beginning);
                open.Parameters.AddWithValue(TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds());
                await open.ExecuteNonQueryAsync(cancellation);
            }

            WriteChain(source, chain, beginning);
        }

        await TableCare.VacuumAsync(source, "audit_trail");
    }

    private void WriteChain(NpgsqlDataSource source, int chain, byte[] beginning)
    {
        using var connection = source.OpenConnection();
        using var rows = connection.BeginBinaryImport(Copy);
        var institution = InstitutionId.Parse(Population.Institution);
        var caller = new Caller("bench", CallerRoles.Frontend, System.Collections.Frozen.FrozenSet<InstitutionId>.Empty);
        var end = new ChainLink(0, beginning);
        for (var i = 0; i < records / Chains; i++)
        {
            var now = DateTimeOffset.FromUnixTimeMilliseconds(TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds());
            var submission = new Submission(
                caller, RequestIds.Next(), "Verify", institution, Fingerprint: [], Channel: Channel.PcBrowser, Purpose: Purpose.Login);
            var verdict = Verdict.Accepted with { CredentialRef = 1 + (i % AbuseLab.Contractors), TimeStep = TimeStep.At(now, 30) };
            var record = AuditRecord.Of(submission, Population.ContractorId(i % AbuseLab.Contractors), policyVersion: 1, verdict, now);
            end = record.Follow(chain, end);
            WriteRow(rows, record);
        }

        rows.Complete();
    }

    private static void WriteRow(NpgsqlBinaryImporter rows, AuditRecord record)
    {
        rows.StartRow();
        rows.Write(record.ChainId, NpgsqlDbType.Integer);
        rows.Write(record.Position, NpgsqlDbType.Bigint);
        rows.Write(record.Hash, NpgsqlDbType.Bytea);
        rows.Write(record.DecidedAt.ToUnixTimeMilliseconds(), NpgsqlDbType.Bigint);
        rows.Write(record.Rpc, NpgsqlDbType.Varchar);
        rows.Write(record.InstitutionId.Value, NpgsqlDbType.Varchar);
        rows.Write(record.CallerId, NpgsqlDbType.Varchar);
        rows.WriteNull();
        rows.Write(record.RequestId, NpgsqlDbType.Varchar);
        rows.Write(record.ContractorId!, NpgsqlDbType.Varchar);
        rows.Write((short)record.Channel, NpgsqlDbType.Smallint);
        rows.Write((short)record.Purpose, NpgsqlDbType.Smallint);
        rows.Write(record.CredentialRef!.Value, NpgsqlDbType.Bigint);
        rows.Write(record.TimeStep!.Value.Value, NpgsqlDbType.Bigint);
        rows.Write((short)record.Outcome, NpgsqlDbType.Smallint);
        rows.Write((short)record.Decision, NpgsqlDbType.Smallint);
        rows.WriteNull();
        rows.Write(record.PolicyVersion!.Value, NpgsqlDbType.Integer);
    }
}

/// <summary>One verification of all records.</summary>
internal sealed record AuditRound(long Records, TimeSpan Took, double ServerSeconds, double DatabaseSeconds)
{
    public double PerSecond => Records / Took.TotalSeconds;

    /// <summary>By all processors that took part.</summary>
    public double PerCoreSecond => Records / (ServerSeconds + DatabaseSeconds);
}
