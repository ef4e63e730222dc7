using System.Diagnostics;
using Grpc.Core;
using Microsoft.Extensions.DependencyInjection;
using OtpAuthService.Bindings;
using OtpAuthService.Callers;
using OtpAuthService.Institutions;
using OtpAuthService.Submissions;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;
using OtpAuthService.Verification;
using Otp = OtpAuthService.Verification.Otp;

namespace OtpAuthService.Tests.Submissions;

/// <summary>Submissions that arrive together are decided together: each as if it had come alone, in the order of arrival (promises P1, P4 and P5).</summary>
[TestFixture(StoreKind.Sqlite)]
[TestFixture(StoreKind.Postgres)]
[TestFixture(StoreKind.PostgresRedis)]
public class SharedCommitTests(StoreKind kind)
{
    private OtpService service = null!;

    private DateTimeOffset Now => service.Clock.GetUtcNow();

    [OneTimeSetUp]
    public async Task StartAsync() => service = await OtpService.StartAsync(kind);

    [OneTimeTearDown]
    public async Task StopAsync() => await service.DisposeAsync();

    [SetUp]
    public void ForgetErrors() => service.Errors.Clear();

    [TearDown]
    public void NoErrorWasLogged() => Assert.That(service.Errors.Errors, Is.Empty);

    /// <summary>Steps of the OTPs relative to now, the registering OTP having been the one before; and what each is to come to.</summary>
    [TestCase(new[] { 0, 0 }, new[] { Outcome.Accepted, Outcome.AlreadyUsed })]
    [TestCase(new[] { 1, 0 }, new[] { Outcome.Accepted, Outcome.AlreadyUsed })]
    [TestCase(new[] { 0, 1 }, new[] { Outcome.Accepted, Outcome.Accepted })]
    [TestCase(new[] { 0, 1, 0, 1 }, new[] { Outcome.Accepted, Outcome.Accepted, Outcome.AlreadyUsed, Outcome.AlreadyUsed })]
    public async Task Batch_RightOtpsOfOneContractor_AreClaimedInTheOrderOfArrival(int[] steps, Outcome[] outcomes)
    {
        var (contractor, token) = await service.RegisteredAsync();

        var answers = await InOneBatchAsync(steps.Select(step => Verify(contractor, token.At(Now, step))));

        Assert.That(answers.Select(a => a.Outcome), Is.EqualTo(outcomes));
        Assert.That((await service.AuditAsync(contractor)).Where(r => r.Rpc == "Verify").Select(r => r.Outcome), Is.EquivalentTo(outcomes));
        Assert.That((await service.Operations.BindingAsync(contractor)).ConsecutiveFailures, Is.Zero);
    }

    [Test]
    public async Task Batch_OneCredentialAtTwoInstitutions_IsClaimedInTheOrderOfArrival()
    {
        var (contractor, token) = await service.RegisteredAsync("demo");
        service.Clock.Advance(TimeSpan.FromSeconds(30));
        await service.Auth.RegisterAsync(contractor, token.CredentialId, token.At(Now, -1), institution: "minato");

        var answers = await InOneBatchAsync(
        [
            Verify(contractor, token.At(Now), institution: "minato"),
            Verify(contractor, token.At(Now), institution: "demo"),
            Verify(contractor, token.At(Now, 1), institution: "demo"),
            Verify(contractor, token.At(Now, 1), institution: "minato"),
        ]);

        Assert.That(
            answers.Select(a => a.Outcome),
            Is.EqualTo(new[] { Outcome.Accepted, Outcome.AlreadyUsed, Outcome.Accepted, Outcome.AlreadyUsed }));
    }

    [Test]
    public async Task Batch_WrongThenRight_CountsOneAndClearsIt()
    {
        var (contractor, token) = await service.RegisteredAsync();

        var answers = await InOneBatchAsync([Verify(contractor, token.WrongAt(Now)), Verify(contractor, token.At(Now))]);

        Assert.That(Results(answers), Is.EqualTo(new[] { (Outcome.Mismatch, 4), (Outcome.Accepted, 5) }));
        Assert.That((await service.Operations.BindingAsync(contractor)).ConsecutiveFailures, Is.Zero);
    }

    [Test]
    public async Task Batch_RightThenWrong_CountsOneAndKeepsIt()
    {
        var (contractor, token) = await service.RegisteredAsync();

        var answers = await InOneBatchAsync([Verify(contractor, token.At(Now)), Verify(contractor, token.WrongAt(Now))]);

        Assert.That(Results(answers), Is.EqualTo(new[] { (Outcome.Accepted, 5), (Outcome.Mismatch, 4) }));
        Assert.That((await service.Operations.BindingAsync(contractor)).ConsecutiveFailures, Is.EqualTo(1));
    }

    /// <summary>The right one gives a fresh row of five; the lock comes with its fifth, and nothing after it is evaluated.</summary>
    [Test]
    public async Task Batch_WrongAndRightMixed_ClimbsTheLadderExactly()
    {
        var (contractor, token) = await service.RegisteredAsync();
        var wrong = Verify(contractor, token.WrongAt(Now));
        var right = Verify(contractor, token.At(Now));
        var later = Verify(contractor, token.At(Now, 1));

        var answers = await InOneBatchAsync([wrong, wrong, wrong, wrong, right, wrong, wrong, wrong, wrong, wrong, later, wrong]);

        Assert.That(Results(answers), Is.EqualTo(new[]
        {
            (Outcome.Mismatch, 4), (Outcome.Mismatch, 3), (Outcome.Mismatch, 2), (Outcome.Mismatch, 1), (Outcome.Accepted, 5),
            (Outcome.Mismatch, 4), (Outcome.Mismatch, 3), (Outcome.Mismatch, 2), (Outcome.Mismatch, 1), (Outcome.Mismatch, 0),
            (Outcome.LockedOut, 0), (Outcome.LockedOut, 0),
        }));
        Assert.That((await service.Operations.BindingAsync(contractor)).ConsecutiveFailures, Is.EqualTo(5));
    }

    [Test]
    public async Task Batch_Of50WrongOtps_CountsFiveAndLocks()
    {
        var (contractor, token) = await service.RegisteredAsync();

        var answers = await InOneBatchAsync(Enumerable.Repeat(Verify(contractor, token.WrongAt(Now)), 50), inOrder: false);

        Assert.That(answers.Count(a => a.Outcome == Outcome.Mismatch), Is.EqualTo(5));
        Assert.That(answers.Count(a => a.Outcome == Outcome.LockedOut), Is.EqualTo(45));
        Assert.That(answers.Where(a => a.Outcome == Outcome.Mismatch).Select(a => a.AttemptsLeft), Is.EquivalentTo(new[] { 4, 3, 2, 1, 0 }));
        Assert.That((await service.Operations.BindingAsync(contractor)).ConsecutiveFailures, Is.EqualTo(5));
    }

    [Test]
    public async Task Batch_OneRequestDeliveredTwice_IsDecidedOnce([Values] bool right)
    {
        var (contractor, token) = await service.RegisteredAsync();
        var delivery = Verify(contractor, right ? token.At(Now) : token.WrongAt(Now), Calls.NewRequestId());

        var answers = await InOneBatchAsync([delivery, delivery, delivery]);

        Assert.That(answers.Select(a => a.Outcome), Is.All.EqualTo(right ? Outcome.Accepted : Outcome.Mismatch));
        Assert.That(answers.Select(a => a.Repeated), Is.EqualTo(new[] { false, true, true }));
        Assert.That(await service.AuditAsync(contractor), Has.Count.EqualTo(2));
        Assert.That((await service.Operations.BindingAsync(contractor)).ConsecutiveFailures, Is.EqualTo(right ? 0 : 1));
    }

    [Test]
    public async Task Batch_SuspendBetweenTwoVerifies_HoldsForTheSecond()
    {
        var (contractor, token) = await service.RegisteredAsync();
        await using var hold = await HeldLedger.OfAsync(service);
        var before = await hold.SendAsync(Verify(contractor, token.At(Now)));
        var suspend = await hold.SendAsync(async () => await service.Auth.SuspendAsync(contractor, token.At(Now, 1)));
        var after = await hold.SendAsync(Verify(contractor, token.At(Now, 1)));
        await hold.DisposeAsync();

        Assert.That(
            ((await before).Outcome, (await suspend).Outcome, (await after).Outcome),
            Is.EqualTo((Outcome.Accepted, Outcome.Accepted, Outcome.Suspended)));
    }

    [Test]
    public async Task Batch_WithAReusedRequestId_RefusesOnlyThatOne()
    {
        var others = await RegisterManyAsync(40);
        var (contractor, token) = await service.RegisteredAsync();
        var requestId = Calls.NewRequestId();
        await service.Auth.VerifyAsync(contractor, token.At(Now), requestId);

        await using var hold = await HeldLedger.OfAsync(service);
        var before = await hold.SendAllAsync(others.Take(20).Select(o => Verify(o.Contractor, o.Token.At(Now))));
        var reused = await hold.SendAsync(Verify(contractor, token.At(Now, 1), requestId));
        var after = await hold.SendAllAsync(others.Skip(20).Select(o => Verify(o.Contractor, o.Token.At(Now))));
        await hold.DisposeAsync();

        var refusal = await Refusal.OfAsync(() => reused);
        Assert.That((refusal.Code, refusal.Fields.Single()), Is.EqualTo((StatusCode.InvalidArgument, "request_id")));
        Assert.That((await Task.WhenAll([.. before, .. after])).Select(a => a.Outcome), Is.All.EqualTo(Outcome.Accepted));
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now, 1))).Outcome, Is.EqualTo(Outcome.Accepted), "nothing was claimed");
    }

    /// <summary>Eight digits for a credential that shows six: only the act can tell, in the transaction that it shares.</summary>
    [Test]
    public async Task Batch_WithARequestThatItsActRefuses_RefusesOnlyThatOne()
    {
        var others = await RegisterManyAsync(6);
        var (contractor, _) = await service.RegisteredAsync();

        await using var hold = await HeldLedger.OfAsync(service);
        var right = await hold.SendAllAsync(others.Take(3).Select(o => Verify(o.Contractor, o.Token.At(Now))));
        var refused = await hold.SendAsync(Verify(contractor, "12345678"));
        var wrong = await hold.SendAllAsync(others.Skip(3).Select(o => Verify(o.Contractor, o.Token.WrongAt(Now))));
        await hold.DisposeAsync();

        var refusal = await Refusal.OfAsync(() => refused);
        Assert.That((refusal.Code, refusal.Fields.Single()), Is.EqualTo((StatusCode.InvalidArgument, "otp")));
        Assert.That((await Task.WhenAll(right)).Select(a => a.Outcome), Is.All.EqualTo(Outcome.Accepted));
        Assert.That((await Task.WhenAll(wrong)).Select(a => a.Outcome), Is.All.EqualTo(Outcome.Mismatch));
        Assert.That(await service.AuditAsync(contractor), Has.Count.EqualTo(1), "the registration alone");
    }

    /// <summary>A claim needs the credential's row, a wrong OTP the contractor's as well.</summary>
    [Test]
    public async Task Batch_WithARowThatAnotherSessionHolds_LetsTheNeighboursGo([Values] bool contractorsRow)
    {
        Assume.That(kind, Is.Not.EqualTo(StoreKind.Sqlite), "SQLite has no row locks");
        var others = await RegisterManyAsync(10);
        var (contractor, token) = await service.RegisteredAsync();
        var request = Verify(contractor, contractorsRow ? token.WrongAt(Now) : token.At(Now), Calls.NewRequestId());

        await using (var row = await (contractorsRow
            ? HeldRow.ContractorAsync(service.Stores, contractor)
            : HeldRow.CredentialAsync(service.Stores, token.CredentialId)))
        {
            await using var hold = await HeldLedger.OfAsync(service);
            var right = await hold.SendAllAsync(others.Take(5).Select(o => Verify(o.Contractor, o.Token.At(Now))));
            var held = await hold.SendAsync(request);
            var wrong = await hold.SendAllAsync(others.Skip(5).Select(o => Verify(o.Contractor, o.Token.WrongAt(Now))));
            await hold.DisposeAsync();

            var neighbours = Task.WhenAll([.. right, .. wrong]);
            await Task.WhenAny(neighbours, held);
            Assert.That(neighbours.IsCompletedSuccessfully, Is.True, "the neighbours do not wait for the one that is held");
            Assert.That((await Task.WhenAll(right)).Select(a => a.Outcome), Is.All.EqualTo(Outcome.Accepted));
            Assert.That((await Task.WhenAll(wrong)).Select(a => a.Outcome), Is.All.EqualTo(Outcome.Mismatch));
            Assert.That((await service.Auth.VerifyAsync(others[0].Contractor, others[0].Token.At(Now, 1))).Outcome, Is.EqualTo(Outcome.Accepted), "nor does the next batch");

            var error = await Assert.ThrowsAsync<RpcException>(async () => await held);
            Assert.That(error!.StatusCode, Is.EqualTo(StatusCode.Unavailable));
            Assert.That(error.GetRpcStatus()?.GetDetail<Google.Rpc.RetryInfo>()?.RetryDelay, Is.Not.Null);
        }

        var expected = contractorsRow ? Outcome.Mismatch : Outcome.Accepted;
        var (retried, repeated) = (await request(), await request());
        Assert.That((retried.Outcome, retried.Repeated), Is.EqualTo((expected, false)));
        Assert.That((repeated.Outcome, repeated.Repeated), Is.EqualTo((expected, true)));
        Assert.That((await service.AuditAsync(contractor)).Where(r => r.Rpc != "Register").Select(r => r.Outcome), Is.EqualTo(new[] { expected }));
        Assert.That((await service.Operations.BindingAsync(contractor)).ConsecutiveFailures, Is.EqualTo(contractorsRow ? 1 : 0));
    }

    /// <summary>None of them waits in vain for as long as all before it together.</summary>
    [Test]
    public async Task Batch_OfOneContractorWhoseRowIsHeld_IsUnavailableWithinTheTimeOfOne()
    {
        Assume.That(kind, Is.Not.EqualTo(StoreKind.Sqlite), "SQLite has no row locks");
        var (contractor, token) = await service.RegisteredAsync();

        await using (await HeldRow.ContractorAsync(service.Stores, contractor))
        {
            var hold = await HeldLedger.OfAsync(service);
            var answers = await hold.SendAllAsync(Enumerable.Repeat(Verify(contractor, token.WrongAt(Now)), 8));
            await hold.DisposeAsync();
            var took = Stopwatch.StartNew();

            foreach (var answer in answers)
            {
                Assert.That((await Refusal.OfAsync(() => answer)).Code, Is.EqualTo(StatusCode.Unavailable));
            }

            Assert.That(took.Elapsed, Is.LessThan(TimeSpan.FromSeconds(2)));
        }

        Assert.That((await service.Auth.VerifyAsync(contractor, token.WrongAt(Now))).AttemptsLeft, Is.EqualTo(4), "nothing was counted");
    }

    [Test]
    public async Task Verify_QueueFull_IsRefusedWithoutADecisionAndServedLater()
    {
        const int Capacity = 4096;
        var (contractor, token) = await service.RegisteredAsync();
        var ledger = service.Services.GetRequiredService<DecisionLedger>();
        var before = await service.TracesAsync();
        var request = Verify(contractor, token.At(Now), Calls.NewRequestId());

        await using (await HeldLedger.OfAsync(service))
        {
            var waiting = Enumerable.Range(0, Capacity).Select(_ => ledger.DecideAsync(HeldLedger.Undecided())).ToList();
            Assert.That((ledger.Waiting, waiting.Any(w => w.IsCompleted)), Is.EqualTo((Capacity, false)));

            var error = await Assert.ThrowsAsync<RpcException>(async () => await request());
            Assert.That(error!.StatusCode, Is.EqualTo(StatusCode.ResourceExhausted));
            Assert.That(error.GetRpcStatus()?.GetDetail<Google.Rpc.ErrorInfo>()?.Reason, Is.EqualTo("QUEUE_FULL"));
            Assert.That(error.GetRpcStatus()?.GetDetail<Google.Rpc.RetryInfo>()?.RetryDelay, Is.Not.Null);
        }

        await Eventually.IsTrueAsync(() => Task.FromResult(ledger.Waiting == 0), "the queue has emptied");
        Assert.That(await service.TracesAsync(), Is.EqualTo(before));
        var answer = await request();
        Assert.That((answer.Outcome, answer.Repeated), Is.EqualTo((Outcome.Accepted, false)));
    }

    [Test]
    public async Task Verify_CancelledWhileItWaits_IsNotDecidedAndDisturbsNobody([Values] bool right)
    {
        var (contractor, token) = await service.RegisteredAsync();
        var others = await RegisterManyAsync(4);
        var otp = right ? token.At(Now) : token.WrongAt(Now);
        using var caller = new CancellationTokenSource();

        await using var hold = await HeldLedger.OfAsync(service);
        var before = await hold.SendAllAsync(others.Take(2).Select(o => Verify(o.Contractor, o.Token.At(Now))));
        var cancelled = await hold.SendAsync(() => VerifyInsideAsync(contractor, otp, Calls.NewRequestId(), caller.Token));
        var after = await hold.SendAllAsync(others.Skip(2).Select(o => Verify(o.Contractor, o.Token.WrongAt(Now))));
        await caller.CancelAsync();
        await hold.DisposeAsync();

        await Assert.ThatAsync(() => cancelled, Throws.InstanceOf<OperationCanceledException>());
        Assert.That((await Task.WhenAll(before)).Select(a => a.Outcome), Is.All.EqualTo(Outcome.Accepted));
        Assert.That((await Task.WhenAll(after)).Select(a => a.Outcome), Is.All.EqualTo(Outcome.Mismatch));
        Assert.That(await service.AuditAsync(contractor), Has.Count.EqualTo(1), "the registration alone");
        Assert.That((await service.Operations.BindingAsync(contractor)).ConsecutiveFailures, Is.Zero);
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted), "nothing was claimed");
    }

    [Test]
    public async Task Verify_CancelledAfterItsBatchHasBegun_IsDecidedAndItsRetryFindsTheAnswer()
    {
        Assume.That(kind, Is.Not.EqualTo(StoreKind.Sqlite), "SQLite has no row that another session could hold");
        var (contractor, token) = await service.RegisteredAsync();
        var (otp, requestId) = (token.At(Now), Calls.NewRequestId());
        using var caller = new CancellationTokenSource();

        await using (await HeldRow.CredentialAsync(service.Stores, token.CredentialId))
        {
            var cancelled = VerifyInsideAsync(contractor, otp, requestId, caller.Token);
            await HeldRow.IsWaitedForAsync(service.Stores);
            await caller.CancelAsync();
            Assert.That(cancelled.IsCompleted, Is.False);
        }

        var retried = await service.Auth.VerifyAsync(contractor, otp, requestId);
        Assert.That((retried.Outcome, retried.Repeated), Is.EqualTo((Outcome.Accepted, true)));
        Assert.That(await service.AuditAsync(contractor), Has.Count.EqualTo(2));
    }

    /// <summary>The caller's deadline, over the wire: whether it was decided or not, its retry ends with one decision.</summary>
    [Test]
    public async Task Verify_DeadlinePassesWhileItWaits_IsDecidedOnceByItsRetry()
    {
        var (contractor, token) = await service.RegisteredAsync();
        var requestId = Calls.NewRequestId();
        var request = new VerifyRequest
        {
            RequestId = requestId,
            InstitutionId = "demo",
            ContractorId = contractor,
            Channel = Channel.PcBrowser,
            Purpose = Purpose.Login,
            Otp = token.At(Now),
        };

        await using (await HeldLedger.OfAsync(service))
        {
            var late = await Refusal.OfAsync(
                async () => await service.Auth.VerifyAsync(request, deadline: TimeProvider.System.GetUtcNow().UtcDateTime.AddMilliseconds(200)));
            Assert.That(late.Code, Is.EqualTo(StatusCode.DeadlineExceeded));
        }

        Assert.That((await service.Auth.VerifyAsync(request)).Outcome, Is.EqualTo(Outcome.Accepted));
        Assert.That((await service.AuditAsync(contractor)).Where(r => r.Rpc != "Register").Select(r => r.Outcome), Is.EqualTo(new[] { Outcome.Accepted }));
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
    }

    private static IEnumerable<(Outcome Outcome, int AttemptsLeft)> Results(IEnumerable<VerifyResponse> answers) =>
        answers.Select(a => (a.Outcome, a.AttemptsLeft));

    /// <summary>A call to be made, with the same request id each time where it is given one.</summary>
    private Func<Task<VerifyResponse>> Verify(string contractor, string otp, string? requestId = null, string institution = "demo") =>
        async () => await service.Auth.VerifyAsync(contractor, otp, requestId, institution);

    private async Task<IReadOnlyList<VerifyResponse>> InOneBatchAsync(IEnumerable<Func<Task<VerifyResponse>>> calls, bool inOrder = true)
    {
        var answers = new List<Task<VerifyResponse>>();
        await using (var hold = await HeldLedger.OfAsync(service))
        {
            if (inOrder)
            {
                foreach (var call in calls)
                {
                    answers.Add(await hold.SendAsync(call));
                }
            }
            else
            {
                answers.AddRange(await hold.SendAllAsync(calls));
            }
        }

        return await Task.WhenAll(answers);
    }

    private async Task<List<(string Contractor, SoftToken Token)>> RegisterManyAsync(int count)
    {
        var registered = new List<(string, SoftToken)>();
        while (registered.Count < count)
        {
            registered.Add(await service.RegisteredAsync());
        }

        return registered;
    }

    /// <summary>The same submission as over gRPC, but the test is who no longer waits, and knows when.</summary>
    private Task<Answer> VerifyInsideAsync(string contractor, string digits, string requestId, CancellationToken cancellation)
    {
        var request = new VerifyRequest
        {
            RequestId = requestId,
            InstitutionId = "demo",
            ContractorId = contractor,
            Channel = Channel.PcBrowser,
            Purpose = Purpose.Login,
            Otp = digits,
        };
        var who = new ContractorRef(InstitutionId.Parse("demo"), ContractorId.Parse(contractor));
        var submission = new Submission(
            new Caller("local", CallerRoles.Frontend, [who.Institution]),
            requestId,
            "Verify",
            who.Institution,
            service.Services.GetRequiredService<Fingerprints>().Of("Verify", request),
            who.Contractor,
            request.Channel,
            request.Purpose);
        Assert.That(Otp.TryParse(digits, out var otp), Is.True);
        return service.Services.GetRequiredService<OtpVerifier>().VerifyAsync(submission, who, otp, cancellation);
    }
}
