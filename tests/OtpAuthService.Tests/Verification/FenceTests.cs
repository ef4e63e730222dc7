using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Npgsql;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;
using OtpAuthService.Verification;

namespace OtpAuthService.Tests.Verification;

/// <summary>A fence that an operator raises: no OTP of a time step up to it is accepted, by any act on any replica (promise P1).</summary>
[TestFixture(StoreKind.Sqlite)]
[TestFixture(StoreKind.Postgres)]
[TestFixture(StoreKind.PostgresRedis)]
public class FenceTests(StoreKind kind)
{
    /// <summary>Two clocks that are 5 s off, and two of the longest time steps.</summary>
    private static readonly TimeSpan Covering = TimeSpan.FromSeconds((2 * 5) + (2 * 60));

    private OtpService service = null!;
    private OtpService other = null!;

    private DateTimeOffset Now => service.Clock.GetUtcNow();

    [SetUp]
    public async Task StartAsync()
    {
        service = await OtpService.StartAsync(kind);
        other = await OtpService.StartAsync(service.Stores, service.Clock);
    }

    [TearDown]
    public async Task StopAsync()
    {
        var errors = service.Errors.Errors.Concat(other.Errors.Errors).ToList();
        await other.DisposeAsync();
        await service.DisposeAsync();
        Assert.That(errors, Is.Empty);
    }

    [Test]
    public async Task Fence_NeverRaised_IsAbsent()
    {
        var shown = await service.Operations.GetFenceAsync(new() { InstitutionId = "demo" });
        Assert.That((shown.Fence, shown.RaisedAt, shown.Reason), Is.EqualTo(((Timestamp?)null, (Timestamp?)null, "")));
    }

    [Test]
    public async Task Verify_BelowTheFence_IsAlreadyUsedOnEveryReplicaUntilTheNextOtp()
    {
        var (contractor, token) = await service.RegisteredAsync();
        var raised = await RaiseAsync();
        Assert.That(raised.Fence.ToDateTimeOffset(), Is.EqualTo(Now + Covering));
        var shown = await other.Operations.GetFenceAsync(new() { InstitutionId = "minato" });
        Assert.That((shown.Fence, shown.RaisedAt, shown.Reason), Is.EqualTo((raised.Fence, raised.DecidedAt, "a test")));

        var firstAbove = TimeStep.At(Now + Covering, 30).Plus(1).Start(30);
        foreach (var replica in new[] { service, other, service })
        {
            var answer = await replica.Auth.VerifyAsync(contractor, token.At(Now, 1));
            Assert.That(
                (answer.Outcome, answer.Decision, answer.AttemptsLeft, answer.RetryAfter.ToTimeSpan()),
                Is.EqualTo((Outcome.AlreadyUsed, Decision.Deny, 5, firstAbove - Now)));
        }

        // The last one below it, as late as it can be sent, and the first one above.
        service.Clock.SetUtcNow(firstAbove);
        Assert.That((await other.Auth.VerifyAsync(contractor, token.At(Now, -1))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
        Assert.That((await other.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now, 1))).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    [Test]
    public async Task Fence_OfOneInstitution_HoldsAtAllOfThem()
    {
        var (contractor, token) = await service.RegisteredAsync("minato");
        await RaiseAsync();
        Assert.That((await other.Auth.VerifyAsync(contractor, token.At(Now), institution: "minato")).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
    }

    [Test]
    public async Task EveryAct_BelowTheFence_IsRefusedAndChangesNothing()
    {
        var (contractor, token) = await service.RegisteredAsync();
        var (registering, successor) = (await service.Operations.IssueAsync(), await service.Operations.IssueAsync());
        await RaiseAsync();
        var before = await service.TracesAsync();

        Assert.That((await other.Auth.RegisterAsync(Calls.NewContractor(), registering.CredentialId, registering.At(Now))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
        Assert.That((await other.Auth.ReplaceAsync(contractor, token.At(Now), successor.CredentialId, successor.At(Now))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
        Assert.That((await other.Auth.ResynchronizeAsync(contractor, token.At(Now), token.At(Now, 1))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
        Assert.That((await other.Auth.SuspendAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));

        var after = await service.TracesAsync();
        Assert.That((after.Bindings, after.Failures), Is.EqualTo((before.Bindings, before.Failures)));
        var current = (await service.Operations.BindingAsync(contractor)).History[0];
        Assert.That((current.CredentialId, current.State), Is.EqualTo((token.CredentialId, BindingState.Active)));

        service.Clock.Advance(Covering + TimeSpan.FromSeconds(30));
        Assert.That((await other.Auth.RegisterAsync(Calls.NewContractor(), registering.CredentialId, registering.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
        Assert.That((await other.Auth.ReplaceAsync(contractor, token.At(Now), successor.CredentialId, successor.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
        Assert.That((await other.Auth.SuspendAsync(contractor, successor.At(Now, 1))).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    /// <summary>The successor's OTP may have been used for something else: each of the two is held against the fence.</summary>
    [Test]
    public async Task Replace_WithOnlyTheNewOtpBelowTheFence_IsRefused()
    {
        var (contractor, token) = await service.RegisteredAsync();
        var successor = await service.InsertCredentialAsync(Enumerable.Range(1, 20).Select(n => (byte)n).ToArray(), driftSteps: 10);
        await RaiseAsync();
        service.Clock.Advance(Covering + TimeSpan.FromSeconds(30));

        var below = Fence.LastRefused(Now - TimeSpan.FromSeconds(30), await service.CredentialAsync(successor)).Start(30);
        Assert.That((await other.Auth.ReplaceAsync(contractor, token.At(Now), successor.CredentialId, successor.At(below))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
        Assert.That((await service.Operations.BindingAsync(contractor)).History[0].CredentialId, Is.EqualTo(token.CredentialId));
    }

    /// <summary>A clock that is 10 steps ahead: what it showed when the fence was raised is of a step above the fence itself.</summary>
    [Test]
    public async Task Verify_OfAClockThatIsAhead_IsRefusedForWhatWasShownByTheMomentOfTheFence()
    {
        const int Ahead = 10;
        var token = await service.InsertCredentialAsync(Enumerable.Range(2, 20).Select(n => (byte)n).ToArray(), driftSteps: Ahead);
        var contractor = Calls.NewContractor();
        Assert.That((await service.Auth.RegisterAsync(contractor, token.CredentialId, token.At(Now, Ahead - 1))).Outcome, Is.EqualTo(Outcome.Accepted));
        var fence = (await RaiseAsync()).Fence.ToDateTimeOffset();

        Assert.That((await other.Auth.VerifyAsync(contractor, token.At(Now, Ahead))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
        service.Clock.SetUtcNow(fence + TimeSpan.FromSeconds(30));
        Assert.That((await other.Auth.VerifyAsync(contractor, token.At(fence, Ahead))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
        Assert.That((await other.Auth.VerifyAsync(contractor, token.At(fence, Ahead + 1))).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    /// <summary>A pair may have been accepted at any offset before, which is forgotten with it.</summary>
    [Test]
    public async Task Resynchronize_AfterAFence_TakesOnlyWhatNoClockHadShownByThen([Values(-2, 0, 60)] int off)
    {
        var (contractor, token) = await service.RegisteredAsync();
        var fence = (await RaiseAsync()).Fence.ToDateTimeOffset();
        var last = TimeStep.At(fence, 30).Plus(120);

        service.Clock.SetUtcNow(last.Plus(-off).Start(30));
        var refused = await other.Auth.ResynchronizeAsync(contractor, token.At(Now, off), token.At(Now, off + 1));
        Assert.That((refused.Outcome, refused.RetryAfter.ToTimeSpan()), Is.EqualTo((Outcome.AlreadyUsed, TimeSpan.FromSeconds(30))));
        service.Clock.Advance(TimeSpan.FromSeconds(30));
        Assert.That((await other.Auth.ResynchronizeAsync(contractor, token.At(Now, off), token.At(Now, off + 1))).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    [Test]
    public async Task Fence_RaisedLower_StaysAndIsOnRecord()
    {
        var furthest = Now + TimeSpan.FromHours(1);
        Assert.That((await RaiseAsync(furthest)).Fence.ToDateTimeOffset(), Is.EqualTo(furthest));
        Assert.That((await RaiseAsync(Now)).Fence.ToDateTimeOffset(), Is.EqualTo(furthest));
        Assert.That((await RaiseAsync()).Fence.ToDateTimeOffset(), Is.EqualTo(furthest));
        Assert.That((await RaiseAsync(DateTimeOffset.UnixEpoch)).Fence.ToDateTimeOffset(), Is.EqualTo(furthest));

        var records = await service.AuditOfAsync("RaiseFence");
        Assert.That(records.Select(r => (r.InstitutionId.Value, r.CallerId, r.Outcome, r.Reason)), Is.EqualTo(Enumerable.Repeat(("demo", "local", Outcome.Accepted, "a test"), 4)));
        Assert.That((await service.VerifyAuditAsync()).Finding, Is.Null);
    }

    [Test]
    public async Task Fence_FurtherThanAnHourAhead_IsRefused()
    {
        var refusal = await Refusal.OfAsync(() => RaiseAsync(Now + TimeSpan.FromHours(1) + TimeSpan.FromMilliseconds(1)));
        Assert.That((refusal.Code, refusal.Fields.Single()), Is.EqualTo((StatusCode.InvalidArgument, "until")));
        refusal = await Refusal.OfAsync(() => RaiseAsync(new Timestamp { Seconds = -1 }));
        Assert.That((refusal.Code, refusal.Fields.Single()), Is.EqualTo((StatusCode.InvalidArgument, "until")));
        Assert.That((await service.Operations.GetFenceAsync(new() { InstitutionId = "demo" })).Fence, Is.Null);
    }

    [Test]
    public async Task Fence_WithoutAReason_IsRefused([Values("", " ", "a\nline")] string reason)
    {
        var refusal = await Refusal.OfAsync(async () => await service.Operations.RaiseFenceAsync(
            new() { RequestId = Calls.NewRequestId(), InstitutionId = "demo", Reason = reason }));
        Assert.That((refusal.Code, refusal.Fields.Single()), Is.EqualTo((StatusCode.InvalidArgument, "reason")));
    }

    [Test]
    public async Task RaiseFence_DeliveredAgain_IsAnsweredAsBeforeAndRaisedOnce()
    {
        var id = Calls.NewRequestId();
        var first = await RaiseAsync(id: id);
        service.Clock.Advance(TimeSpan.FromSeconds(60));
        var again = await other.Operations.RaiseFenceAsync(Request(null, id));
        Assert.That((again.Fence, again.DecidedAt, again.Repeated), Is.EqualTo((first.Fence, first.DecidedAt, true)));
        Assert.That(await service.AuditOfAsync("RaiseFence"), Has.Count.EqualTo(1));

        var refusal = await Refusal.OfAsync(async () => await other.Operations.RaiseFenceAsync(Request(Now, id)));
        Assert.That((refusal.Code, refusal.Fields.Single()), Is.EqualTo((StatusCode.InvalidArgument, "request_id")));
    }

    [Test]
    public async Task RaiseFence_ForAnInstitutionThatIsNotTheCallers_IsDenied()
    {
        var request = Request();
        request.InstitutionId = "nagoya";
        var refusal = await Refusal.OfAsync(async () => await service.Operations.RaiseFenceAsync(request));
        Assert.That((refusal.Code, refusal.Info?.Reason), Is.EqualTo((StatusCode.PermissionDenied, "INSTITUTION_NOT_CALLERS")));
        refusal = await Refusal.OfAsync(async () => await service.Operations.GetFenceAsync(new() { InstitutionId = "nagoya" }));
        Assert.That((refusal.Code, refusal.Info?.Reason), Is.EqualTo((StatusCode.PermissionDenied, "INSTITUTION_NOT_CALLERS")));
    }

    /// <summary>Those that were used may be unused again; they are issued anew in a minute.</summary>
    [Test]
    public async Task TemporaryOtps_WhenAFenceIsRaised_End()
    {
        var (contractor, _) = await service.RegisteredAsync();
        await service.ExecuteAsync(
            $"""
             UPDATE contractors SET temporary_otp_salt = '00', temporary_otp_issued_under = '00000000-0000-0000-0000-000000000001', temporary_otp_issued_by = 'x',
                 temporary_otp_expires_at = 99999999999999, temporary_otp_uses_left = 2, temporary_otp_awaits_confirmation = {(kind == StoreKind.Sqlite ? "0" : "false")}
             WHERE contractor_id = '{contractor}'
             """);
        await RaiseAsync();
        Assert.That(await service.TemporaryUsesAsync(contractor), Is.Zero);
    }

    [TestCase("UPDATE fences SET until = 0")]
    [TestCase("DELETE FROM fences")]
    public async Task Fences_ByHand_AreNeitherLoweredNorTakenAway(string sql)
    {
        await RaiseAsync();
        var refused = await Assert.CatchAsync(() => service.ExecuteAsync(sql));
        Assert.That(refused!.Message, Does.Contain("a fence is never lowered or taken away"));
    }

    /// <summary>A decision that began before the fence: RaiseFence is not answered while it is under way.</summary>
    [Test]
    public async Task RaiseFence_WhileADecisionIsUnderWay_IsNotAnsweredBeforeItsEnd()
    {
        OnlyOnPostgres();
        var id = Calls.NewRequestId();
        await using (var deciding = await HeldFence.BeginAsync(service.Stores, "SELECT fence_in_force()"))
        {
            var refusal = await Refusal.OfAsync(() => RaiseAsync(id: id));
            Assert.That((refusal.Code, refusal.Info?.Reason), Is.EqualTo((StatusCode.Unavailable, "STORE_UNAVAILABLE")));
            Assert.That((await service.Operations.GetFenceAsync(new() { InstitutionId = "demo" })).Fence, Is.Null);
        }

        Assert.That((await RaiseAsync(id: id)).Repeated, Is.False);
    }

    /// <summary>And one that begins while a fence is being raised goes by that one, though its statement began before the commit.</summary>
    [Test]
    public async Task Verify_WhileTheFenceIsBeingRaised_GoesByTheNewOne()
    {
        OnlyOnPostgres();
        var (contractor, token) = await service.RegisteredAsync();
        await using var raising = await HeldFence.BeginAsync(service.Stores, "SELECT pg_advisory_xact_lock(hashtext('otp fence'))");
        await raising.ExecuteAsync($"INSERT INTO fences VALUES ('a test', {(Now + Covering).ToUnixTimeMilliseconds()}, 0, 'a test')");
        var verifying = other.Auth.VerifyAsync(contractor, token.At(Now)).ResponseAsync;
        await HeldRow.IsWaitedForAsync(service.Stores);
        await raising.CommitAsync();
        Assert.That((await verifying).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
    }

    private void OnlyOnPostgres()
    {
        if (kind == StoreKind.Sqlite)
        {
            Assert.Ignore("SQLite has one writer: nothing is under way beside it.");
        }
    }

    private Task<RaiseFenceResponse> RaiseAsync(DateTimeOffset until) => RaiseAsync(until.ToTimestamp());

    private async Task<RaiseFenceResponse> RaiseAsync(Timestamp? until = null, string? id = null) => await service.Operations.RaiseFenceAsync(Request(until, id));

    private static RaiseFenceRequest Request(DateTimeOffset until, string id) => Request(until.ToTimestamp(), id);

    private static RaiseFenceRequest Request(Timestamp? until = null, string? id = null) =>
        new() { RequestId = id ?? Calls.NewRequestId(), InstitutionId = "demo", Until = until, Reason = "a test" };

    /// <summary>A transaction that has the fence in hand, as a replica's that decides or raises.</summary>
    private sealed class HeldFence(NpgsqlConnection connection, NpgsqlTransaction transaction) : IAsyncDisposable
    {
        public static async Task<HeldFence> BeginAsync(StoresUnderTest stores, string sql)
        {
            var connection = new NpgsqlConnection(stores.PostgresConnectionString + ";Pooling=false");
            await connection.OpenAsync();
            var held = new HeldFence(connection, await connection.BeginTransactionAsync());
            await held.ExecuteAsync(sql);
            return held;
        }

        public async Task ExecuteAsync(string sql)
        {
            await using var command = new NpgsqlCommand(sql, connection);
            await command.ExecuteNonQueryAsync();
        }

        public Task CommitAsync() => transaction.CommitAsync();

        public ValueTask DisposeAsync() => connection.DisposeAsync();
    }
}
