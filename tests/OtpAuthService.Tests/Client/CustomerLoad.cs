using System.Diagnostics;
using Grpc.Core.Interceptors;
using OtpAuthService.Client;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests;

/// <summary>Contractors who register and log in without a pause; each OTP for a login is submitted twice at the same time.</summary>
internal sealed class CustomerLoad : IAsyncDisposable
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

    public CustomerLoad(OtpAuthChannel channel)
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
