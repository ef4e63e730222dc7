using System.Diagnostics;
using Grpc.Core;
using OtpAuthService.Services;
using OtpAuthService.Tests.Abuse;
using OtpAuthService.Tests.Fixtures;

namespace OtpAuthService.Tests.Services;

/// <summary>Every call ends, whatever its caller says of deadlines. The service's are shortened: 300 ms, and 900 ms where a side streams.</summary>
[TestFixture]
public class CallDeadlineTests
{
    private const string Unary = "/otpauth.v1.OtpAuth/GetRequirement";
    private const string ClientStream = "/otpauth.v1.OtpOperations/ImportCredentials";
    private const string ServerStream = "/otpauth.v1.OtpOperations/QueryAudit";

    private static readonly TimeSpan LongestUnary = TimeSpan.FromMilliseconds(300);
    private static readonly TimeSpan LongestStreaming = TimeSpan.FromMilliseconds(900);

    private OtpService service = null!;

    [OneTimeSetUp]
    public async Task StartAsync() => service = await OtpService.StartAsync(StoreKind.Sqlite, options =>
    {
        options.LongestUnaryCall = LongestUnary;
        options.LongestStreamingCall = LongestStreaming;
    });

    [OneTimeTearDown]
    public async Task StopAsync() => await service.DisposeAsync();

    /// <summary>The client has no deadline either: it is the service that ends the call, before its own second is over.</summary>
    [Test]
    public async Task Verify_WithoutADeadlineAndNotDecided_IsDeadlineExceeded()
    {
        var (contractor, token) = await service.RegisteredAsync();
        await using (await HeldLedger.OfAsync(service))
        {
            var error = await Assert.ThrowsAsync<RpcException>(async () => await service.Auth.VerifyAsync(contractor, token.At(service.Clock.GetUtcNow())));
            Assert.That(error!.StatusCode, Is.EqualTo(StatusCode.DeadlineExceeded));
        }

        await Eventually.IsTrueAsync(
            async () => await service.MetricAsync(
                "rpc_server_call_duration_seconds_count", ("rpc_method", "otpauth.v1.OtpAuth/Verify"), ("rpc_response_status_code", "DeadlineExceeded")) > 0,
            "the metric says so too");
    }

    /// <summary>Calls whose message never comes; what is no timeout in gRPC's words is none, and too many hours are too many.</summary>
    [TestCase(Unary, null)]
    [TestCase(Unary, "3600S")]
    [TestCase(Unary, "99999999H")]
    [TestCase(Unary, "")]
    [TestCase(Unary, "S")]
    [TestCase(Unary, "60")]
    [TestCase(Unary, "60s")]
    [TestCase(Unary, "0S")]
    [TestCase(Unary, "1n")]
    [TestCase(Unary, "-1S")]
    [TestCase(Unary, "+1S")]
    [TestCase(Unary, "1.5S")]
    [TestCase(Unary, " 1S")]
    [TestCase(Unary, "000000060S")]
    [TestCase(Unary, "999999999999999999999S")]
    [TestCase(Unary, "60S, 60S")]
    public async Task Call_WithATimeoutThatIsNotHeeded_EndsByOurs(string path, string? timeout)
    {
        var took = await EndOfCallAsync(path, timeout);
        Assert.That(took, Is.GreaterThan(LongestUnary - TimeSpan.FromMilliseconds(20)).And.LessThan(TimeSpan.FromSeconds(3)));
    }

    [TestCase("20m")]
    [TestCase("20000u")]
    [TestCase("20000000n")]
    public async Task Call_WithAShorterTimeout_EndsByIt(string timeout) =>
        Assert.That(await EndOfCallAsync(ClientStream, timeout), Is.LessThan(LongestStreaming));

    /// <summary>Which RPCs stream is read from the contract.</summary>
    [TestCase(ClientStream)]
    [TestCase(ServerStream)]
    public async Task StreamingCall_WithoutADeadline_HasTheLongerOne(string path) =>
        Assert.That(await EndOfCallAsync(path, timeout: null), Is.GreaterThan(LongestStreaming - TimeSpan.FromMilliseconds(20)).And.LessThan(TimeSpan.FromSeconds(4)));

    [TestCase("1H", TimeSpan.TicksPerHour)]
    [TestCase("10M", 10 * TimeSpan.TicksPerMinute)]
    [TestCase("3S", 3 * TimeSpan.TicksPerSecond)]
    [TestCase("2999m", 2999 * TimeSpan.TicksPerMillisecond)]
    [TestCase("00000001u", TimeSpan.TicksPerMicrosecond)]
    [TestCase("100n", 1)]
    [TestCase("99999999H", 99_999_999 * TimeSpan.TicksPerHour)]
    [TestCase("３S", 0)]
    [TestCase("3Ｓ", 0)]
    public void Timeout_InGrpcsForm_IsRead(string text, long expected)
    {
        Assert.That(CallDeadlines.TryParse(text, out var ticks), Is.EqualTo(expected > 0));
        Assert.That(ticks, Is.EqualTo(expected));
    }

    /// <summary>Opens a call and sends nothing of its message.</summary>
    /// <returns>After how long it was ended; by DEADLINE_EXCEEDED, or this fails.</returns>
    private async Task<TimeSpan> EndOfCallAsync(string path, string? timeout)
    {
        var reaction = new Reaction();
        await using var connection = await RawConnection.OpenAsync(new Uri(service.Address), reaction);
        await connection.GreetAsync();
        var took = Stopwatch.StartNew();
        connection.Frames.Headers(connection.NewStream(), connection.Request(path, timeout));
        await connection.FlushAsync();
        await Eventually.IsTrueAsync(
            () => Task.FromResult(reaction.Has(Reaction.Status(StatusCode.DeadlineExceeded))), $"the call is ended by its deadline; it got: {reaction}", seconds: 5);
        return took.Elapsed;
    }
}
