using Grpc.Core;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Verification;

/// <summary>Two replicas that decide on the same credentials in opposite orders: nobody waits in a circle, and every step is accepted once.</summary>
[TestFixture(StoreKind.Postgres)]
[TestFixture(StoreKind.PostgresRedis)]
public class ReplicaTests(StoreKind kind)
{
    private const int Contractors = 20;

    private static readonly string[] Institutions = ["demo", "minato"];

    [Test]
    public async Task Verify_SharedCredentialsInOppositeOrders_NeverDeadlocksAndAcceptsEachStepOnce()
    {
        using var stores = await StoresUnderTest.CreateAsync(kind);
        // Found before any wait is given up, so that none stays hidden.
        await PostgresServer.ExecuteAsync(
            stores.PostgresConnectionString!, "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET deadlock_timeout = ''5ms''', current_database()); END $$");
        await using var first = await OtpService.StartAsync(stores);
        await using var second = await OtpService.StartAsync(stores, first.Clock);
        OtpService[] replicas = [first, second];
        var bound = new List<(string Contractor, SoftToken Token)>();
        for (var n = 0; n < Contractors; n++)
        {
            bound.Add(await first.RegisteredAsync("demo"));
        }

        first.Clock.Advance(TimeSpan.FromSeconds(30));
        foreach (var (contractor, token) in bound)
        {
            await first.Auth.RegisterAsync(contractor, token.CredentialId, token.At(first.Clock.GetUtcNow(), -1), institution: "minato");
        }

        for (var round = 0; round < 3; round++)
        {
            first.Clock.Advance(TimeSpan.FromSeconds(30));
            await RoundAsync(replicas, bound);
        }

        foreach (var replica in replicas)
        {
            Assert.That(replica.Errors.All, Does.Not.Contain("40P01"), "a deadlock");
            Assert.That(replica.Errors.Errors, Is.Empty);
        }
    }

    private static async Task RoundAsync(OtpService[] replicas, List<(string Contractor, SoftToken Token)> bound)
    {
        var now = replicas[0].Clock.GetUtcNow();
        var before = await replicas[0].TracesAsync();
        var calls = new List<Task<(int Contractor, VerifyResponse Answer)>>();
        for (var repetition = 0; repetition < 3; repetition++)
        {
            for (var n = 0; n < bound.Count; n++)
            {
                // One replica goes up, the other down; each asks for either institution, and each sends a wrong OTP in between.
                calls.Add(VerifyAsync(replicas[0], n, Institutions[repetition % 2], wrong: false));
                calls.Add(VerifyAsync(replicas[1], bound.Count - 1 - n, Institutions[(repetition + 1) % 2], wrong: false));
                calls.Add(VerifyAsync(replicas[n % 2], n, Institutions[n / 2 % 2], wrong: repetition == 1));
            }
        }

        var answers = await Task.WhenAll(calls);

        foreach (var ofOne in answers.GroupBy(a => a.Contractor))
        {
            Assert.That(ofOne.Count(a => a.Answer.Outcome == Outcome.Accepted), Is.EqualTo(1), $"accepted of contractor {ofOne.Key}");
            Assert.That(ofOne.Count(a => a.Answer.Outcome == Outcome.Mismatch), Is.EqualTo(1), $"wrong of contractor {ofOne.Key}");
            Assert.That(ofOne.Count(a => a.Answer.Outcome == Outcome.AlreadyUsed), Is.EqualTo(ofOne.Count() - 2));
        }

        var after = await replicas[0].TracesAsync();
        Assert.That(
            (after.AuditRecords - before.AuditRecords, after.Answers - before.Answers), Is.EqualTo((answers.Length, answers.Length)), "one record each");

        async Task<(int, VerifyResponse)> VerifyAsync(OtpService replica, int n, string institution, bool wrong)
        {
            var (contractor, token) = bound[n];
            var requestId = Calls.NewRequestId();
            for (var attempt = 1; ; attempt++)
            {
                try
                {
                    return (n, await replica.Auth.VerifyAsync(contractor, wrong ? token.WrongAt(now) : token.At(now), requestId, institution));
                }
                catch (RpcException busy) when (busy.StatusCode == StatusCode.Unavailable && attempt < 10)
                {
                    // As the contract asks: the same id again.
                }
            }
        }
    }
}
