using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Grpc.Core;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using OtpAuthService.Client;
using OtpAuthService.V1;

namespace OtpAuthService.Tests;

/// <summary>
/// What the channel promises about services that are slow, down for a moment or saying no. The service here is made of the contract
/// alone, because the real one cannot be told to misbehave.
/// </summary>
public sealed class OtpAuthChannelTests
{
    private readonly Misbehaving misbehaving = new();
    private WebApplication service = null!;
    private OtpAuthChannel channel = null!;

    [SetUp]
    public async Task StartService()
    {
        misbehaving.Reset();
        // Empty: the settings of the real service lie in the same folder.
        var builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
            kestrel.Listen(IPAddress.Loopback, 0, listen => listen.Protocols = HttpProtocols.Http2));
        builder.Services.AddRouting();
        builder.Services.AddGrpc();
        builder.Services.AddSingleton(misbehaving);
        service = builder.Build();
        service.MapGrpcService<Misbehaving>();
        await service.StartAsync();
        channel = OtpAuthChannel.Create(service.Urls.Single());
    }

    [TearDown]
    public async Task StopService()
    {
        channel.Dispose();
        await service.DisposeAsync();
    }

    [Test]
    public async Task Call_UnavailableAtFirst_IsSentAgainWithTheSameRequestId()
    {
        misbehaving.Failures = new([StatusCode.Unavailable, StatusCode.Unavailable]);

        var answer = await channel.OtpAuth.VerifyAsync(new() { RequestId = RequestId.New() });

        Assert.That(answer.Outcome, Is.EqualTo(Outcome.Accepted));
        Assert.That(misbehaving.RequestIds, Has.Count.EqualTo(3));
        Assert.That(misbehaving.RequestIds.Distinct().Count(), Is.EqualTo(1));
    }

    [Test]
    public async Task Call_UnavailableForGood_GivesUpAfterFourAttempts()
    {
        misbehaving.Failures = new(Enumerable.Repeat(StatusCode.Unavailable, 10));

        await AssertFailsAsync(StatusCode.Unavailable);

        Assert.That(misbehaving.RequestIds, Has.Count.EqualTo(4));
    }

    [TestCase(StatusCode.InvalidArgument)]
    [TestCase(StatusCode.PermissionDenied)]
    [TestCase(StatusCode.NotFound)]
    [TestCase(StatusCode.ResourceExhausted)]
    [TestCase(StatusCode.Internal)]
    [TestCase(StatusCode.Unknown)]
    public async Task Call_AnyOtherStatus_IsNotSentAgain(StatusCode status)
    {
        misbehaving.Failures = new([status]);

        await AssertFailsAsync(status);

        Assert.That(misbehaving.RequestIds, Has.Count.EqualTo(1));
    }

    /// <summary>As by a replica that is told to stop while somebody connects.</summary>
    [Test]
    public async Task Call_ConnectionThatIsEndedAtOnce_IsUnavailableAndTriedAgain()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        using var stop = new CancellationTokenSource();
        var ending = EndConnectionsAsync(listener, stop.Token);
        using var toNobody = OtpAuthChannel.Create($"http://{listener.LocalEndpoint}");

        var error = await Assert.ThrowsAsync<RpcException>(async () => await toNobody.OtpAuth.VerifyAsync(new() { RequestId = RequestId.New() }));
        await stop.CancelAsync();

        Assert.That(error!.StatusCode, Is.EqualTo(StatusCode.Unavailable));
        Assert.That(await ending, Is.EqualTo(4));
    }

    [Test]
    public async Task Call_NoDeadlineAndNoAnswer_EndsAfterThreeSeconds()
    {
        misbehaving.Delay = TimeSpan.FromMinutes(1);
        var elapsed = Stopwatch.StartNew();

        await AssertFailsAsync(StatusCode.DeadlineExceeded);

        Assert.That(elapsed.Elapsed, Is.EqualTo(OtpAuthChannel.DefaultDeadline).Within(TimeSpan.FromSeconds(1)));
    }

    [Test]
    public async Task Call_OwnDeadline_IsKept()
    {
        misbehaving.Delay = TimeSpan.FromSeconds(3.5);

        var answer = await channel.OtpAuth.VerifyAsync(
            new() { RequestId = RequestId.New() }, deadline: TimeProvider.System.GetUtcNow().AddSeconds(20).UtcDateTime);

        Assert.That(answer.Outcome, Is.EqualTo(Outcome.Accepted));
    }

    /// <summary>Says GOAWAY, and nothing before it, to whoever connects.</summary>
    /// <returns>How many did.</returns>
    private static async Task<int> EndConnectionsAsync(TcpListener listener, CancellationToken stop)
    {
        // Eight bytes of type 7 on stream 0: the last stream may be any, and there is no error.
        byte[] goAway = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0];
        var connections = 0;
        while (!stop.IsCancellationRequested)
        {
            try
            {
                using var connection = await listener.AcceptTcpClientAsync(stop);
                connections++;
                await connection.GetStream().WriteAsync(goAway, stop);
                // Until the other side hangs up: what it has sent and nobody has read would make a reset of the end.
                await connection.GetStream().CopyToAsync(Stream.Null, stop);
            }
            catch (Exception end) when (end is IOException or OperationCanceledException)
            {
                // One of the two has hung up.
            }
        }

        return connections;
    }

    private async Task AssertFailsAsync(StatusCode status)
    {
        var error = await Assert.ThrowsAsync<RpcException>(async () => await channel.OtpAuth.VerifyAsync(new() { RequestId = RequestId.New() }));
        Assert.That(error!.StatusCode, Is.EqualTo(status));
    }

    private sealed class Misbehaving : OtpAuth.OtpAuthBase
    {
        public ConcurrentQueue<string> RequestIds { get; } = new();

        public ConcurrentQueue<StatusCode> Failures { get; set; } = new();

        public TimeSpan Delay { get; set; }

        public void Reset()
        {
            RequestIds.Clear();
            Failures = new();
            Delay = TimeSpan.Zero;
        }

        public override async Task<VerifyResponse> Verify(VerifyRequest request, ServerCallContext context)
        {
            RequestIds.Enqueue(request.RequestId);
            await Task.Delay(Delay, context.CancellationToken);
            return Failures.TryDequeue(out var status)
                ? throw new RpcException(new Status(status, "on purpose"))
                : new() { Outcome = Outcome.Accepted, Decision = Decision.Allow };
        }
    }
}
