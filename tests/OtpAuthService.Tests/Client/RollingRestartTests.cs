using System.Diagnostics;
using System.Net;
using Grpc.Core.Interceptors;
using OtpAuthService.Client;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests;

/// <summary>The shipped client over real replicas, processes of their own on one PostgreSQL and Redis, that go and come back under load.</summary>
public sealed class RollingRestartTests
{
    private static readonly IPAddress[] Addresses = [IPAddress.Parse("127.0.0.1"), IPAddress.Parse("127.0.0.2")];

    private readonly List<ServiceProcess> started = [];
    private StoresUnderTest stores = null!;
    private CallersUnderTest callers = null!;
    private int port;

    [SetUp]
    public async Task CreateAsync()
    {
        stores = await StoresUnderTest.CreateAsync(StoreKind.PostgresRedis);
        callers = new CallersUnderTest(new CallerRow("front", ["Frontend", "Operator"], "demo"));
        port = Loopback.FreePort();
    }

    [TearDown]
    public async Task RemoveAsync()
    {
        foreach (var replica in started)
        {
            await replica.DisposeAsync();
        }

        started.Clear();
        callers.Dispose();
        stores.Dispose();
    }

    [Test]
    public async Task Replicas_RestartedOneByOneAndOneKilledUnderLoad_AnswerEveryCallAndAcceptEachOtpOnce()
    {
        var replicas = new[] { await StartAsync(Addresses[0]), await StartAsync(Addresses[1]) };
        await using var load = new Load(Connect());
        await load.GoesOnAsync();

        for (var n = 0; n < replicas.Length; n++)
        {
            Assert.That(await replicas[n].TerminateAsync(), Is.Zero);
            await load.GoesOnAsync();
            replicas[n] = await StartAsync(Addresses[n]);
            await load.GoesOnAsync();
        }

        replicas[0].Kill();
        await load.GoesOnAsync();

        await load.StopAsync();
        await TestContext.Out.WriteLineAsync($"{load.Answered} calls answered, {load.Repeated} of them by the answer of an earlier delivery, the slowest after {load.Slowest.TotalMilliseconds:F0} ms");
        Assert.That(load.Failures, Is.Empty);
        Assert.That(
            await ReadAsync("SELECT count(*)::text FROM (SELECT 1 FROM audit_trail WHERE outcome = 1 AND time_step IS NOT NULL GROUP BY credential_ref, time_step HAVING count(*) > 1) twice"),
            Is.EqualTo("0"));
        // Each process writes to chains of its own: all of them have decided something.
        Assert.That(await ReadAsync("SELECT (count(DISTINCT chain_id) >= 4)::text FROM audit_trail"), Is.EqualTo("true"));
    }

    private async Task<ServiceProcess> StartAsync(IPAddress address)
    {
        var replica = await ServiceProcess.StartAsync(
            stores, [.. callers.Settings, $"--Kestrel:Endpoints:GrpcTls:Url=https://{address}:{port}", "--OtpAuth:MigrateOnStart=false"]);
        started.Add(replica);
        return replica;
    }

    private OtpAuthChannel Connect()
    {
        var certificate = callers.CertificateOf("front");
        return OtpAuthChannel.Create(
            $"dns:///localhost:{port}",
            new() { CertificateFile = certificate.CertificateFile, KeyFile = certificate.KeyFile, TrustFile = callers.TrustFile },
            (_, _) => Task.FromResult(Addresses));
    }

    private Task<string?> ReadAsync(string sql) => PostgresServer.ReadAsync(stores.PostgresConnectionString!, sql);

    /// <summary>Contractors who register and log in without a pause; each OTP for a login is submitted twice at the same time.</summary>
    private sealed class Load : IAsyncDisposable
    {
        private const int Contractors = 3;

        private readonly OtpAuthChannel channel;
        private readonly OtpAuth.OtpAuthClient auth;
        private readonly OtpOperations.OtpOperationsClient operations;
        private readonly Task[] contractors;
        private readonly Lock gate = new();
        private readonly List<string> failures = [];
        private volatile bool stopped;
        private int logins;

        public Load(OtpAuthChannel channel)
        {
            this.channel = channel;
            // A busy machine, where two more services start meanwhile, is no fault of a replica.
            var patient = channel.CallInvoker.Intercept(new DefaultDeadlineInterceptor(TimeSpan.FromSeconds(20), TimeProvider.System));
            auth = new(patient);
            operations = new(patient);
            contractors = [.. Enumerable.Range(0, Contractors).Select(_ => Task.Run(ComeAndGoAsync))];
        }

        public int Answered { get; private set; }

        public int Repeated { get; private set; }

        public TimeSpan Slowest { get; private set; }

        public IReadOnlyCollection<string> Failures => failures;

        /// <summary>Another thirty logins.</summary>
        public Task GoesOnAsync()
        {
            var before = logins;
            return Eventually.IsTrueAsync(() => Task.FromResult(logins - before >= 30 || failures.Count > 0), "contractors log in", 60);
        }

        public async Task StopAsync()
        {
            stopped = true;
            await Task.WhenAll(contractors);
        }

        public async ValueTask DisposeAsync()
        {
            await StopAsync();
            channel.Dispose();
        }

        private async Task ComeAndGoAsync()
        {
            while (!stopped)
            {
                try
                {
                    await RegisterAndLogInAsync();
                }
                catch (Exception e)
                {
                    Fail(e.ToString());
                }
            }
        }

        private async Task RegisterAndLogInAsync()
        {
            var issued = await CountAsync(operations.IssueCredentialAsync(new() { RequestId = RequestId.New(), InstitutionId = "demo" }).ResponseAsync);
            var token = new SoftToken(issued.CredentialId, issued.OtpauthUri);
            var (contractor, now) = (Calls.NewContractor(), TimeProvider.System.GetUtcNow());
            var registered = await CountAsync(auth.RegisterAsync(contractor, token.CredentialId, token.At(now), RequestId.New()).ResponseAsync);
            Expect([registered.Outcome], [Outcome.Accepted]);

            var otp = token.At(now, 1);
            var answers = await Task.WhenAll(
                CountAsync(auth.VerifyAsync(contractor, otp, RequestId.New()).ResponseAsync), CountAsync(auth.VerifyAsync(contractor, otp, RequestId.New()).ResponseAsync));
            Expect([.. answers.Select(a => a.Outcome).Order()], [Outcome.Accepted, Outcome.AlreadyUsed]);
            Interlocked.Increment(ref logins);
        }

        private async Task<T> CountAsync<T>(Task<T> call)
        {
            var took = Stopwatch.StartNew();
            var answer = await call;
            lock (gate)
            {
                Answered++;
                Repeated += answer is IOtpAnswer { Repeated: true } ? 1 : 0;
                Slowest = took.Elapsed > Slowest ? took.Elapsed : Slowest;
            }

            return answer;
        }

        private void Expect(Outcome[] actual, Outcome[] expected)
        {
            if (!actual.SequenceEqual(expected))
            {
                Fail($"{string.Join(", ", actual)} where {string.Join(", ", expected)} was expected");
            }
        }

        private void Fail(string failure)
        {
            lock (gate)
            {
                failures.Add(failure);
            }
        }
    }
}
