using Grpc.Core;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Verification;

/// <summary>Promises P1, P4 and P5 under parallel calls, over two service processes where the stores allow it.</summary>
[TestFixture(StoreKind.Sqlite)]
[TestFixture(StoreKind.Postgres)]
[TestFixture(StoreKind.PostgresRedis)]
public class RaceTests(StoreKind kind)
{
    private StoresUnderTest stores = null!;
    private IReadOnlyList<ServiceProcess> replicas = null!;

    private static DateTimeOffset Now => TimeProvider.System.GetUtcNow();

    [OneTimeSetUp]
    public async Task StartAsync()
    {
        stores = await StoresUnderTest.CreateAsync(kind);
        replicas = await ServiceProcess.StartReplicasAsync(stores);
    }

    [OneTimeTearDown]
    public async Task StopAsync()
    {
        foreach (var replica in replicas)
        {
            await replica.DisposeAsync();
        }

        stores.Dispose();
    }

    [Test]
    public async Task Verify_OneOtp200TimesInParallel_IsAcceptedExactlyOnce()
    {
        var (contractor, token) = await RegisterAsync();
        var otp = token.At(Now);

        var answers = await InParallelAsync(200, (auth, _, id) => auth.VerifyAsync(contractor, otp, id));

        Assert.That(Count(answers), Is.EquivalentTo(new[] { (Outcome.Accepted, 1), (Outcome.AlreadyUsed, 199) }));
    }

    [Test]
    public async Task Verify_OneOtpAtTwoInstitutionsInParallel_IsAcceptedExactlyOnce()
    {
        var token = await replicas[0].Operations.IssueAsync();
        var contractor = Calls.NewContractor();
        var start = Now;
        await replicas[0].Auth.RegisterAsync(contractor, token.CredentialId, token.At(start, -1), institution: "demo");
        await replicas[0].Auth.RegisterAsync(contractor, token.CredentialId, token.At(start), institution: "minato");
        var otp = token.At(start, 1);

        var answers = await InParallelAsync(100, (auth, n, id) => auth.VerifyAsync(contractor, otp, id, n % 4 < 2 ? "demo" : "minato"));

        Assert.That(Count(answers), Is.EquivalentTo(new[] { (Outcome.Accepted, 1), (Outcome.AlreadyUsed, 99) }));
    }

    [Test]
    public async Task Verify_1000WrongOtpsAndOneRightInParallel_HoldsTheLimitExactly()
    {
        var (contractor, token) = await RegisterAsync();
        var (right, wrong) = (token.At(Now), token.WrongAt(Now));

        var answers = await InParallelAsync(1001, (auth, n, id) => auth.VerifyAsync(contractor, n == 300 ? right : wrong, id));

        var counts = Count(answers).ToDictionary();
        var mismatches = counts[Outcome.Mismatch];
        // Where the right one came before the fifth wrong one, it gave a fresh row of five; else it was not evaluated at all.
        Assert.That(mismatches, answers[300].Outcome == Outcome.Accepted ? Is.InRange(5, 9) : Is.EqualTo(5));
        Assert.That(answers[300].Outcome, Is.EqualTo(Outcome.Accepted).Or.EqualTo(Outcome.LockedOut));
        Assert.That(counts.Keys, Is.SubsetOf(new[] { Outcome.Accepted, Outcome.Mismatch, Outcome.LockedOut }));
        var state = await replicas[^1].Operations.BindingAsync(contractor);
        Assert.That((state.ConsecutiveFailures, state.Lockout is not null), Is.EqualTo((5, true)));
    }

    [Test]
    public async Task Verify_OneRequestDelivered50TimesInParallel_IsDecidedOnceAndAnsweredAlike()
    {
        var (contractor, token) = await RegisterAsync();
        var (otp, requestId) = (token.At(Now), Calls.NewRequestId());

        var answers = await InParallelAsync(50, (auth, _, _) => auth.VerifyAsync(contractor, otp, requestId));

        Assert.That(Count(answers), Is.EqualTo(new[] { (Outcome.Accepted, 50) }));
        Assert.That(answers.Count(a => !a.Repeated), Is.LessThanOrEqualTo(1));
        Assert.That(answers.Select(a => a.DecidedAt).Distinct().Count(), Is.EqualTo(1));
    }

    [Test]
    public async Task Verify_OneWrongRequestDelivered50TimesInParallel_IsCountedOnce()
    {
        var (contractor, token) = await RegisterAsync();
        var (otp, requestId) = (token.WrongAt(Now), Calls.NewRequestId());

        var answers = await InParallelAsync(50, (auth, _, _) => auth.VerifyAsync(contractor, otp, requestId));

        Assert.That(Count(answers), Is.EqualTo(new[] { (Outcome.Mismatch, 50) }));
        Assert.That((await replicas[0].Operations.BindingAsync(contractor)).ConsecutiveFailures, Is.EqualTo(1));
    }

    [Test]
    public async Task Verify_RequestIdOfAnotherSubmission_IsRefusedAndDecidesNothing()
    {
        var (contractor, token) = await RegisterAsync();
        var (start, requestId) = (Now, Calls.NewRequestId());
        var first = await replicas[0].Auth.VerifyAsync(contractor, token.At(start), requestId);

        var other = await Assert.ThrowsAsync<RpcException>(async () => await replicas[^1].Auth.VerifyAsync(contractor, token.At(start, 1), requestId));
        var reused = await replicas[^1].Auth.VerifyAsync(contractor, token.At(start));
        var fresh = await replicas[^1].Auth.VerifyAsync(contractor, token.At(start, 1));

        Assert.That(other!.StatusCode, Is.EqualTo(StatusCode.InvalidArgument));
        Assert.That(
            new[] { first.Outcome, reused.Outcome, fresh.Outcome }, Is.EqualTo(new[] { Outcome.Accepted, Outcome.AlreadyUsed, Outcome.Accepted }));
    }

    [Test]
    public async Task Register_OneCredentialBy40ContractorsInParallel_IsBoundOnce()
    {
        var token = await replicas[0].Operations.IssueAsync();
        var contractors = Enumerable.Range(0, 40).Select(_ => Calls.NewContractor()).ToList();
        var start = Now;

        var answers = await InParallelAsync(40, (auth, n, id) => auth.RegisterAsync(contractors[n], token.CredentialId, token.At(start), id));

        Assert.That(answers.Count(a => a.Outcome == Outcome.Accepted), Is.EqualTo(1));
        Assert.That(answers.Select(a => a.Outcome).Distinct(), Is.SubsetOf(new[] { Outcome.Accepted, Outcome.AlreadyUsed, Outcome.CredentialInUse }));
        var bound = contractors[answers.FindIndex(a => a.Outcome == Outcome.Accepted)];
        var holder = await replicas[^1].Operations.GetCredentialAsync(new() { InstitutionId = "demo", CredentialId = token.CredentialId });
        Assert.That(holder.ContractorId, Is.EqualTo(bound));
    }

    [Test]
    public async Task Register_OneContractorWith20CredentialsInParallel_HasOneBinding()
    {
        var tokens = new List<SoftToken>();
        for (var i = 0; i < 20; i++)
        {
            tokens.Add(await replicas[0].Operations.IssueAsync());
        }

        var contractor = Calls.NewContractor();
        var start = Now;
        var answers = await InParallelAsync(20, (auth, n, id) => auth.RegisterAsync(contractor, tokens[n].CredentialId, tokens[n].At(start), id));

        Assert.That(Count(answers), Is.EquivalentTo(new[] { (Outcome.Accepted, 1), (Outcome.AlreadyRegistered, 19) }));
    }

    [Test]
    public async Task Suspend_WhileVerifiesRunOnEveryReplica_LetsNoneThroughAfterItsAnswer()
    {
        for (var round = 0; round < 10; round++)
        {
            var (contractor, token) = await RegisterAsync();
            var start = Now;
            var racing = InParallelAsync(8, (auth, _, id) => auth.VerifyAsync(contractor, token.At(start, 1), id));
            var suspended = await replicas[0].Auth.SuspendAsync(contractor, token.At(start));
            var after = await replicas[^1].Auth.VerifyAsync(contractor, token.At(start, 1));
            var raced = await racing;

            // A Verify that claimed the later step first makes the Suspend's OTP a replay; both orders are right, a mixture is not.
            var accepted = raced.Count(a => a.Outcome == Outcome.Accepted);
            Assert.That((suspended.Outcome, accepted), Is.EqualTo((Outcome.Accepted, 0)).Or.EqualTo((Outcome.AlreadyUsed, 1)));
            Assert.That(after.Outcome, Is.EqualTo(suspended.Outcome == Outcome.Accepted ? Outcome.Suspended : Outcome.AlreadyUsed));
        }
    }

    private async Task<(string Contractor, SoftToken Token)> RegisterAsync()
    {
        var token = await replicas[0].Operations.IssueAsync();
        var contractor = Calls.NewContractor();
        var answer = await replicas[0].Auth.RegisterAsync(contractor, token.CredentialId, token.At(Now, -1));
        Assert.That(answer.Outcome, Is.EqualTo(Outcome.Accepted), "registering for a test");
        return (contractor, token);
    }

    /// <summary>
    /// Sends all calls at once, in turn to each replica, and waits for all answers. As the contract asks, a call that is UNAVAILABLE or beyond its deadline is sent
    /// again with its request id: a slow machine must not look like a broken promise, and a broken promise must not hide behind a retry.
    /// </summary>
    private async Task<List<T>> InParallelAsync<T>(int calls, Func<OtpAuth.OtpAuthClient, int, string, AsyncUnaryCall<T>> call)
    {
        var answers = Enumerable.Range(0, calls).Select(async n =>
        {
            var requestId = Calls.NewRequestId();
            for (var attempt = 1; ; attempt++)
            {
                try
                {
                    return await call(replicas[n % replicas.Count].Auth, n, requestId);
                }
                catch (RpcException unknown) when (unknown.StatusCode is StatusCode.Unavailable or StatusCode.DeadlineExceeded && attempt < 30)
                {
                    await Task.Delay(100);
                }
            }
        });
        return [.. await Task.WhenAll(answers.ToList())];
    }

    private static IEnumerable<(Outcome Outcome, int Count)> Count<T>(IEnumerable<T> answers)
        where T : IOtpAnswer =>
        answers.GroupBy(a => a.Outcome).Select(g => (g.Key, g.Count()));
}
