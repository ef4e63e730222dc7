using System.Net;
using Grpc.Core;
using OtpAuthService.Tests.Abuse;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Services;

/// <summary>
/// Clients that keep to HTTP/2 in part only: each is cut off or kept within bounds, and another caller gets right answers meanwhile. How
/// fast those come is measured by the benchmark's abuse command. The service has the product's limits, some of them shorter or lower.
/// </summary>
[TestFixture]
public class EdgeAbuseTests
{
    private const int MostConnections = 30;

    /// <summary>Streams are reset faster than Kestrel clears them away.</summary>
    private const string TooManyEnded = "exceeded the output operations maximum queue size";

    /// <summary>The peer was gone in the middle of a header block.</summary>
    private const string NeverCompleted = "application never completed";

    /// <summary>In the tests only; Kestrel looks at its timers once a second.</summary>
    private static readonly TimeSpan Longest = TimeSpan.FromSeconds(12);

    private static readonly HttpClient Http = new();

    private OtpService service = null!;
    private Uri address = null!;

    [OneTimeSetUp]
    public async Task StartAsync()
    {
        service = await OtpService.StartAsync(
            StoreKind.Sqlite,
            $"--Kestrel:Limits:MaxConcurrentConnections={MostConnections}",
            "--Kestrel:Limits:KeepAliveTimeout=00:00:02",
            "--Kestrel:Limits:RequestHeadersTimeout=00:00:01",
            // Kestrel says here which limit ended a connection: after an abort the GOAWAY does not always arrive.
            "--Logging:LogLevel:Microsoft.AspNetCore.Server.Kestrel=Debug");
        address = new Uri(service.Address);
    }

    [OneTimeTearDown]
    public async Task StopAsync() => await service.DisposeAsync();

    [SetUp]
    public void ForgetLog() => service.Errors.Clear();

    /// <summary>Kestrel takes one of its cut-offs for critical, and some of an abandoned connection that only the garbage collector has found.</summary>
    [TearDown]
    public void NoErrorWasLogged() =>
        Assert.That(service.Errors.Errors, Is.All.Contains(TooManyEnded).Or.Contains(NeverCompleted));

    /// <summary>By the protocol's means, or by a limit that Kestrel names in its log.</summary>
    [TestCase("zero-window-update", "GOAWAY ProtocolError")]
    [TestCase("continuation-flood", "GOAWAY ProtocolError", "Request headers too long")]
    [TestCase("large-header", "GOAWAY CompressionError")]
    [TestCase("reset-burst", "closed", TooManyEnded + "|ENHANCE_YOUR_CALM")]
    [TestCase("empty-continuation", "closed", "Reading the request headers timed out")]
    [TestCase("slow-headers", "closed", "Reading the request headers timed out")]
    [TestCase("slow-preface", "GOAWAY NoError")]
    public async Task Attacker_OverALimit_IsCutOff(string attack, string reaction, string limit = "")
    {
        var seen = await WhileOthersAreServedAsync([attack], Longest);

        Assert.That(seen.Has(reaction) && seen.Has(Reaction.Closed), $"{seen}");
        Assert.That(service.Errors.All, Does.Match(limit));
    }

    /// <summary>
    /// Streams that are opened and left alone, or fed a byte a second, however long the deadline they ask for. Both at once, because five seconds of
    /// grace are no setting.
    /// </summary>
    [Test]
    public async Task Attacker_WhoseMessagesDoNotCome_IsCutOff()
    {
        var seen = await WhileOthersAreServedAsync(["idle-streams", "slow-body"], Longest);

        Assert.That(seen.Seen[Reaction.Closed], Is.EqualTo(2), $"{seen}");
        Assert.That(service.Errors.All, Does.Contain("240 bytes/second"));
    }

    /// <summary>Each frame is answered or thrown away as it comes, and nothing piles up: the connection is let be.</summary>
    [TestCase("ping-flood", Reaction.PingAnswered)]
    [TestCase("settings-flood", Reaction.SettingsAnswered)]
    [TestCase("window-update", null)]
    [TestCase("empty-data", null)]
    [TestCase("rapid-reset", null)]
    public async Task Attacker_AtARateThatIsKeptUpWith_DoesNotHarmOthers(string attack, string? answer)
    {
        var seen = await WhileOthersAreServedAsync([attack], TimeSpan.FromSeconds(1));

        Assert.That(seen.Has(Reaction.Closed), Is.False, $"{seen}");
        if (answer is not null)
        {
            Assert.That(seen.Seen[answer], Is.GreaterThan(1_000));
        }
    }

    /// <summary>Answers that nobody reads are not kept: the server reads no further.</summary>
    [Test]
    public async Task Attacker_WhoReadsNoAnswers_IsNotReadAnyMore()
    {
        const int Most = 64 * 1024 * 1024;
        await using var connection = await RawConnection.OpenAsync(address, new Reaction(), reads: false);
        await connection.GreetAsync();
        for (var i = 0; i < 10_000; i++)
        {
            connection.Frames.Ping();
        }

        var sent = 0;
        while (sent < Most && await connection.TrySendAsync(connection.Frames.Written, TimeSpan.FromSeconds(1)))
        {
            sent += connection.Frames.Written.Length;
        }

        Assert.That(sent, Is.LessThan(Most), "bytes taken from a client that reads nothing");
        await ExpectRightAnswerAsync();
    }

    /// <summary>A caller who hangs up in the middle of imports is no fault of the service, and fills no log.</summary>
    [Test]
    public async Task Imports_LeftByTheirCaller_AreNoFaultOfTheService()
    {
        await WhileOthersAreServedAsync(["idle-imports"], TimeSpan.FromSeconds(0.5));

        var metrics = await Http.GetStringAsync(service.ManagementAddress + "/metrics");
        Assert.That(metrics, Does.Not.Match("ImportCredentials.*Internal"));
    }

    /// <summary>The prefix of a message tells its size: it is refused before it is there.</summary>
    [Test]
    public async Task Message_TooLarge_IsResourceExhaustedByItsPrefix()
    {
        var seen = await WhileOthersAreServedAsync(["large-message"], TimeSpan.FromSeconds(1));

        Assert.That(seen.Has(Reaction.Status(StatusCode.ResourceExhausted)), $"{seen}");
        Assert.That(seen.Has(Reaction.Closed), Is.False, $"{seen}");
    }

    [Test]
    public async Task Streams_MoreThanAllowed_AreRefused()
    {
        var seen = await WhileOthersAreServedAsync(["too-many-streams"], TimeSpan.FromSeconds(0.5));

        Assert.That(seen.Seen[Reaction.Reset(ErrorCode.RefusedStream)], Is.EqualTo(200), $"{seen}");
    }

    /// <summary>Those who are connected go on, and so does whoever asks for health and metrics; and there is room again afterwards.</summary>
    [Test]
    public async Task Connections_MoreThanAllowed_AreRefused()
    {
        await ExpectRightAnswerAsync();
        var (reaction, attackers) = (new Reaction(), new List<RawConnection>());
        for (var i = 0; i < MostConnections + 10; i++)
        {
            attackers.Add(await RawConnection.OpenAsync(address, reaction));
        }

        await Eventually.IsTrueAsync(() => Task.FromResult(reaction.Has(Reaction.Closed)), "connections are refused", seconds: 1);
        await ExpectRightAnswerAsync();
        using var health = await Http.GetAsync(service.ManagementAddress + "/health/live");
        Assert.That(health.StatusCode, Is.EqualTo(HttpStatusCode.OK));

        foreach (var attacker in attackers)
        {
            await attacker.DisposeAsync();
        }

        await Eventually.IsTrueAsync(
            async () =>
            {
                var (late, seen) = (Attacks.Named("settings-flood"), new Reaction());
                using var stop = new CancellationTokenSource(TimeSpan.FromMilliseconds(200));
                await late.RunOnceAsync(address, seen, stop.Token);
                return seen.Has(Reaction.SettingsAnswered);
            },
            "there is room again");
    }

    /// <summary>What a client does not refuse to send by itself is HTTP 431, which gRPC clients call INTERNAL; the connection goes on.</summary>
    [TestCase(1, 7_000, StatusCode.OK)]
    [TestCase(1, 8_000, StatusCode.Internal)]
    [TestCase(50, 10, StatusCode.OK)]
    [TestCase(70, 10, StatusCode.Internal)]
    public async Task Headers_OfASize_AreReadUpToEightKibibytes(int count, int size, StatusCode expected)
    {
        var metadata = new Metadata();
        for (var i = 0; i < count; i++)
        {
            metadata.Add($"x-padding-{i}", new string('x', size));
        }

        var request = new GetRequirementRequest { InstitutionId = "demo", ContractorId = "nobody", Channel = Channel.PcBrowser };
        var status = StatusCode.OK;
        try
        {
            await service.Auth.GetRequirementAsync(request, metadata);
        }
        catch (RpcException error)
        {
            status = error.StatusCode;
        }

        Assert.That(status, Is.EqualTo(expected));
        await ExpectRightAnswerAsync();
    }

    /// <summary>Attacks, one connection each, until all are cut off or the time is over; another caller calls all the while.</summary>
    private async Task<Reaction> WhileOthersAreServedAsync(string[] attacks, TimeSpan most)
    {
        var reaction = new Reaction();
        using var stop = new CancellationTokenSource(most);
        var attacking = Task.WhenAll(attacks.Select(attack => Attacks.Named(attack).RunOnceAsync(address, reaction, stop.Token)));
        do
        {
            await ExpectRightAnswerAsync();
        }
        while (!attacking.IsCompleted);

        await attacking;
        return reaction;
    }

    private async Task ExpectRightAnswerAsync() =>
        Assert.That((await service.Auth.RequirementAsync("nobody")).Requirement, Is.EqualTo(Requirement.NotRegistered));
}
