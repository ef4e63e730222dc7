using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Audit;

/// <summary>What is on record, how operators and auditors read it, and that the chains hold whatever happens to the transactions that write them.</summary>
[TestFixture(StoreKind.Sqlite)]
[TestFixture(StoreKind.PostgresRedis)]
public class AuditRecordTests(StoreKind kind)
{
    private OtpService service = null!;

    private DateTimeOffset Now => service.Clock.GetUtcNow();

    [SetUp]
    public async Task StartAsync() => service = await OtpService.StartAsync(kind);

    [TearDown]
    public async Task StopAsync() => await service.DisposeAsync();

    [Test]
    public async Task Act_OfAnOperator_SaysWhoDidWhatAndWhy()
    {
        var (contractor, token) = await service.RegisteredAsync();
        var request = new ReportLostRequest
        {
            RequestId = Calls.NewRequestId(), InstitutionId = "demo", ContractorId = contractor, Kind = LossKind.Stolen, Reason = "盗難の届け出", OperatorId = "h.sato@example",
        };
        var answer = await service.Operations.ReportLostAsync(request);
        var record = (await QueryAsync(new() { Rpc = "ReportLost" })).Single();
        using (Assert.EnterMultipleScope())
        {
            Assert.That(record.CallerId, Is.EqualTo("local"));
            Assert.That(record.OperatorId, Is.EqualTo(request.OperatorId));
            Assert.That(record.RequestId, Is.EqualTo(request.RequestId));
            Assert.That(record.ContractorId, Is.EqualTo(contractor));
            Assert.That(record.CredentialId, Is.EqualTo(token.CredentialId));
            Assert.That(record.Reason, Is.EqualTo(request.Reason));
            Assert.That(record.Outcome, Is.EqualTo(Outcome.Accepted));
            Assert.That(record.PolicyVersion, Is.EqualTo(1));
            Assert.That(record.DecidedAt, Is.EqualTo(answer.DecidedAt));
            Assert.That(record.Hash, Has.Length.EqualTo(32));
        }
    }

    [Test]
    public async Task Verify_SaysWhatItRestedOn()
    {
        var (contractor, token) = await service.RegisteredAsync();
        await service.Operations.SetInstitutionPolicyAsync(new()
        {
            RequestId = Calls.NewRequestId(), InstitutionId = "demo", DisplayName = "Demo", Policy = new(), ExpectedVersion = 1, Reason = "a test",
        });
        await service.Auth.VerifyAsync(contractor, token.At(Now, 1), purpose: Purpose.Transfer, channel: Channel.Smartphone);
        await service.Auth.VerifyAsync(contractor, token.WrongAt(Now));

        var records = await QueryAsync(new() { Rpc = "Verify", ContractorId = contractor });
        using (Assert.EnterMultipleScope())
        {
            Assert.That(records.Select(r => r.Outcome), Is.EqualTo(new[] { Outcome.Accepted, Outcome.Mismatch }));
            Assert.That(records.Select(r => r.HasTimeStep), Is.EqualTo(new[] { true, false }));
            Assert.That(records[0].TimeStep, Is.EqualTo((Now.ToUnixTimeSeconds() / 30) + 1));
            Assert.That((records[0].Channel, records[0].Purpose, records[0].Decision), Is.EqualTo((Channel.Smartphone, Purpose.Transfer, Decision.Allow)));
            Assert.That(records.Select(r => r.PolicyVersion), Is.EqualTo(new[] { 2, 2 }));
            Assert.That(records.Select(r => r.OperatorId + r.Reason), Is.All.Empty);
        }
    }

    [Test]
    public async Task OperatorId_OutsideOfItsAlphabet_IsRefused([Values("a b", "a\nb", "=cmd", "名前", "01234567890123456789012345678901234567890123456789012345678901234")] string id)
    {
        var refusal = await Refusal.OfAsync(async () => await service.Operations.StopBypassAsync(
            new() { RequestId = Calls.NewRequestId(), InstitutionId = "demo", Reason = "a test", OperatorId = id }));
        Assert.That((refusal.Code, refusal.Fields.Single()), Is.EqualTo((StatusCode.InvalidArgument, "operator_id")));
    }

    [Test]
    public async Task Query_WithEachFilter_FindsWhatFits()
    {
        var (first, firstToken) = await service.RegisteredAsync();
        var (second, _) = await service.RegisteredAsync();
        var requestId = Calls.NewRequestId();
        service.Clock.Advance(TimeSpan.FromMinutes(1));
        var between = Now;
        await service.Auth.VerifyAsync(first, firstToken.At(Now), requestId);
        await service.Auth.VerifyAsync(first, firstToken.WrongAt(Now));

        using (Assert.EnterMultipleScope())
        {
            Assert.That(await CountAsync(new()), Is.EqualTo((await service.TracesAsync()).AuditRecords));
            Assert.That(await CountAsync(new() { ContractorId = first }), Is.EqualTo(3));
            Assert.That(await CountAsync(new() { ContractorId = second }), Is.EqualTo(1));
            Assert.That(await CountAsync(new() { ContractorId = "nobody" }), Is.Zero);
            Assert.That(await CountAsync(new() { CredentialId = firstToken.CredentialId.ToLowerInvariant() }), Is.EqualTo(4), "issued, registered, verified twice");
            Assert.That(await CountAsync(new() { Rpc = "Register" }), Is.EqualTo(2));
            Assert.That(await CountAsync(new() { Outcome = Outcome.Mismatch }), Is.EqualTo(1));
            Assert.That(await CountAsync(new() { RequestId = requestId }), Is.EqualTo(1));
            Assert.That(await CountAsync(new() { CallerId = "another" }), Is.Zero);
            Assert.That(await CountAsync(new() { Since = between.ToTimestamp() }), Is.EqualTo(2));
            Assert.That(await CountAsync(new() { Until = between.ToTimestamp(), ContractorId = first }), Is.EqualTo(1));
            Assert.That(await CountAsync(new() { Limit = 3 }), Is.EqualTo(3));
        }
    }

    [Test]
    public async Task Query_OfAnotherInstitution_ShowsNothingOfThisOne()
    {
        var (contractor, _) = await service.RegisteredAsync();
        Assert.That(await CountAsync(new() { InstitutionId = "minato" }), Is.Zero);
        Assert.That(await CountAsync(new() { InstitutionId = "minato", ContractorId = contractor }), Is.Zero);
        var refusal = await Refusal.OfAsync(() => QueryAsync(new() { InstitutionId = "elsewhere" }));
        Assert.That(refusal.Code, Is.EqualTo(StatusCode.PermissionDenied));
    }

    private static IEnumerable<TestCaseData> BadQueries()
    {
        var now = DateTimeOffset.UnixEpoch.AddYears(50);
        yield return new TestCaseData(new QueryAuditRequest { Since = now.ToTimestamp(), Until = now.ToTimestamp() }, "since");
        yield return new TestCaseData(new QueryAuditRequest { Since = now.ToTimestamp(), Until = now.AddDays(401).ToTimestamp() }, "since");
        yield return new TestCaseData(new QueryAuditRequest { Until = new Timestamp { Seconds = -1 } }, "until");
        yield return new TestCaseData(new QueryAuditRequest { Until = new Timestamp { Seconds = long.MaxValue } }, "until");
        yield return new TestCaseData(new QueryAuditRequest { Until = new Timestamp { Nanos = -1 } }, "until");
        yield return new TestCaseData(new QueryAuditRequest { ContractorId = "a b" }, "contractor_id");
        yield return new TestCaseData(new QueryAuditRequest { CredentialId = "?" }, "credential_id");
        yield return new TestCaseData(new QueryAuditRequest { Outcome = (Outcome)99 }, "outcome");
        yield return new TestCaseData(new QueryAuditRequest { Limit = -1 }, "limit");
    }

    [TestCaseSource(nameof(BadQueries))]
    public async Task Query_ThatMakesNoSense_IsRefusedByItsField(QueryAuditRequest request, string field)
    {
        var refusal = await Refusal.OfAsync(() => QueryAsync(request));
        Assert.That((refusal.Code, refusal.Fields.Single()), Is.EqualTo((StatusCode.InvalidArgument, field)));
    }

    [Test]
    public async Task Contractors_ByKeyedHash_AreFoundByTheirIdAndNotToBeRead()
    {
        var (contractor, token) = await service.RegisteredAsync();
        await service.Operations.SetInstitutionPolicyAsync(new()
        {
            RequestId = Calls.NewRequestId(),
            InstitutionId = "demo",
            DisplayName = "Demo",
            Policy = new() { AuditContractorIds = AuditContractorIds.KeyedHash },
            ExpectedVersion = 1,
            Reason = "a test",
        });
        await service.Auth.VerifyAsync(contractor, token.At(Now, 1));
        await service.Auth.VerifyAsync(contractor, token.WrongAt(Now));
        await service.Operations.SetBypassOptOutAsync(new()
        {
            RequestId = Calls.NewRequestId(), InstitutionId = "demo", ContractorId = contractor, NeverBypass = true, Reason = "asked for it",
        });

        var names = (await QueryAsync(new() { ContractorId = contractor })).Select(r => r.ContractorId).ToList();
        Assert.That(names, Has.Count.EqualTo(4));
        Assert.That(names[0], Is.EqualTo(contractor));
        Assert.That(names[1..], Is.All.EqualTo(names[1]).And.All.Match("^#[A-Za-z0-9_-]{22}$"));
        Assert.That((await service.VerifyAuditAsync()).Finding, Is.Null);
    }

    /// <summary>Right and wrong OTPs, replays, retries and refusals at the same time: each is on record once, and every chain holds.</summary>
    [Test]
    public async Task Chains_UnderParallelLoad_HoldEveryDecisionOnce()
    {
        var bound = new List<(string Contractor, SoftToken Token)>();
        for (var i = 0; i < 12; i++)
        {
            bound.Add(await service.RegisteredAsync());
        }

        var before = (await service.TracesAsync()).AuditRecords;
        var answers = new List<VerifyResponse>();
        for (var round = 0; round < 4; round++)
        {
            service.Clock.Advance(TimeSpan.FromSeconds(30));
            answers.AddRange(await Task.WhenAll(bound.SelectMany((b, i) =>
            {
                var id = Calls.NewRequestId();
                return new[]
                {
                    VerifyAsync(b.Contractor, b.Token.At(Now), id),
                    VerifyAsync(b.Contractor, b.Token.At(Now), id),
                    VerifyAsync(b.Contractor, b.Token.At(Now)),
                    VerifyAsync(b.Contractor, i % 3 == 0 ? b.Token.WrongAt(Now) : b.Token.At(Now, 1)),
                };
            })));
        }

        var (records, finding) = await service.VerifyAuditAsync();
        Assert.That(finding, Is.Null);
        Assert.That((await service.TracesAsync()).AuditRecords, Is.EqualTo(before + answers.Count(a => !a.Repeated)).And.EqualTo(records));

        async Task<VerifyResponse> VerifyAsync(string contractor, string otp, string? id = null) => await service.Auth.VerifyAsync(contractor, otp, id);
    }

    private async Task<int> CountAsync(QueryAuditRequest request) => (await QueryAsync(request)).Count;

    private async Task<List<AuditRecord>> QueryAsync(QueryAuditRequest request)
    {
        request.InstitutionId = request.InstitutionId.Length == 0 ? "demo" : request.InstitutionId;
        request.Until ??= request.Since is null ? Now.AddMinutes(1).ToTimestamp() : (request.Since.ToDateTimeOffset() + TimeSpan.FromHours(1)).ToTimestamp();
        using var call = service.Operations.QueryAudit(request);
        var records = new List<AuditRecord>();
        await foreach (var answer in call.ResponseStream.ReadAllAsync())
        {
            records.Add(answer.Record);
        }

        Assert.That(records.Select(r => r.DecidedAt.ToDateTimeOffset()), Is.Ordered);
        return records;
    }
}
