using System.Net;
using Grpc.Core;
using Grpc.Health.V1;
using Grpc.Net.Client;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;
using static Grpc.Health.V1.HealthCheckResponse.Types;

namespace OtpAuthService.Tests.Hosting;

/// <summary>How a replica says how it is, and how it is taken out: not ready first, then no new connections, and what has begun is ended.</summary>
[TestFixture]
public class DrainingTests
{
    private static readonly string[] Deciding = ["", "otpauth.v1.OtpAuth", "otpauth.v1.OtpOperations"];

    [Test]
    public async Task Stop_WithADrainDelay_IsNotReadyAtOnceAndDecidesUntilItsEnd()
    {
        await using var service = await OtpService.StartAsync(StoreKind.PostgresRedis, "--OtpAuth:DrainDelay=00:00:03");
        var (contractor, token) = await service.RegisteredAsync();
        var health = new Health.HealthClient(service.Channel);
        Assert.That(await StatusesAsync(health), Is.All.EqualTo(ServingStatus.Serving));
        using var watching = health.Watch(new HealthCheckRequest { Service = "otpauth.v1.OtpAuth" });
        Assert.That(await watching.ResponseStream.MoveNext(CancellationToken.None), Is.True);

        var stopping = service.StopAsync();
        using var http = new HttpClient();
        using var ready = await http.GetAsync(service.ManagementAddress + "/health/ready");
        using var live = await http.GetAsync(service.ManagementAddress + "/health/live");
        Assert.That((ready.StatusCode, live.StatusCode), Is.EqualTo((HttpStatusCode.ServiceUnavailable, HttpStatusCode.OK)));
        Assert.That(await StatusesAsync(health), Is.All.EqualTo(ServingStatus.NotServing));
        Assert.That((await health.CheckAsync(new HealthCheckRequest { Service = "live" })).Status, Is.EqualTo(ServingStatus.Serving));
        Assert.That(await watching.ResponseStream.MoveNext(CancellationToken.None), Is.True);
        Assert.That(watching.ResponseStream.Current.Status, Is.EqualTo(ServingStatus.NotServing), "whoever watches hears of it");

        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(service.Clock.GetUtcNow()))).Outcome, Is.EqualTo(Outcome.Accepted), "it still decides");
        Assert.That(stopping.IsCompleted, Is.False);
        await stopping;
        await Assert.ThrowsAsync<HttpRequestException>(async () => await http.GetAsync(service.ManagementAddress + "/health/live"));
    }

    [Test]
    public async Task Process_ToldToStop_AnswersWhatHasBegunAndExitsWithZero()
    {
        using var stores = await StoresUnderTest.CreateAsync(StoreKind.Postgres);
        await using var service = await ServiceProcess.StartAsync(stores);
        var now = TimeProvider.System.GetUtcNow();
        var token = await service.Operations.IssueAsync();
        var contractor = Calls.NewContractor();
        await service.Auth.RegisterAsync(contractor, token.CredentialId, token.At(now, -1));
        await using var held = await HeldRow.CredentialAsync(stores, token.CredentialId);
        var begun = service.Auth.VerifyAsync(contractor, token.At(now)).ResponseAsync;
        await HeldRow.IsWaitedForAsync(stores);

        var exit = service.TerminateAsync();
        await held.DisposeAsync();
        Assert.That((await begun).Outcome, Is.EqualTo(Outcome.Accepted));
        Assert.That(await exit, Is.Zero);
    }

    [Test]
    public async Task Probes_OnAnEndpointOfTheirOwn_GetHealthInPlaintextAndNothingElse()
    {
        var address = $"http://127.0.0.1:{Loopback.FreePort()}";
        using var callers = new CallersUnderTest(CallerRow.Frontend("front", "demo"));
        await using var service = await OtpService.StartAsync(StoreKind.Sqlite, [.. callers.Settings, $"--Kestrel:Endpoints:Probes:Url={address}"]);
        using var channel = GrpcChannel.ForAddress(address);

        Assert.That(await StatusesAsync(new Health.HealthClient(channel)), Is.All.EqualTo(ServingStatus.Serving));
        var refusal = await Refusal.OfAsync(async () => await new OtpAuth.OtpAuthClient(channel).RequirementAsync("C-1"));
        Assert.That(refusal.Code, Is.EqualTo(StatusCode.Unimplemented));
        using var http = new HttpClient { DefaultRequestVersion = HttpVersion.Version20, DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact };
        using var metrics = await http.GetAsync(address + "/metrics");
        Assert.That(metrics.StatusCode, Is.EqualTo(HttpStatusCode.NotFound));
    }

    [Test]
    public async Task Health_OfAServiceThatIsNotThere_IsNotFound()
    {
        await using var service = await OtpService.StartAsync(StoreKind.Sqlite);
        var refusal = await Refusal.OfAsync(async () => await new Health.HealthClient(service.Channel).CheckAsync(new HealthCheckRequest { Service = "otpauth.v1.Other" }));
        Assert.That(refusal.Code, Is.EqualTo(StatusCode.NotFound));
    }

    private static async Task<List<ServingStatus>> StatusesAsync(Health.HealthClient health)
    {
        var statuses = new List<ServingStatus>();
        foreach (var name in Deciding)
        {
            statuses.Add((await health.CheckAsync(new HealthCheckRequest { Service = name })).Status);
        }

        return statuses;
    }
}
