using System.Net;
using System.Net.Sockets;
using System.Security.Authentication;
using Grpc.Core;
using OtpAuthService.Client;
using OtpAuthService.Tests.Fixtures;

namespace OtpAuthService.Tests;

/// <summary>A channel to a name whose addresses are replicas: all take calls in turn, and none that comes or goes costs a call.</summary>
public sealed class OtpAuthReplicasTests
{
    private static readonly IPAddress First = IPAddress.Parse("127.0.0.1");
    private static readonly IPAddress Second = IPAddress.Parse("127.0.0.2");
    private static readonly IPAddress Third = IPAddress.Parse("127.0.0.3");

    private readonly List<MtlsHost> hosts = [];
    private TestAuthority authority = null!;
    private int port;
    private volatile IPAddress[] named = [];

    [SetUp]
    public void MakeAuthority()
    {
        authority = new TestAuthority();
        port = Loopback.FreePort();
        Name();
    }

    [TearDown]
    public async Task StopHostsAsync()
    {
        foreach (var host in hosts)
        {
            await host.DisposeAsync();
        }

        hosts.Clear();
        authority.Dispose();
    }

    [Test]
    public async Task Calls_ThreeReplicas_AreSpreadEvenly()
    {
        var replicas = await StartAsync(First, Second, Third);
        Name(First, Second, Third);
        using var channel = Connect();
        await EventuallyCalledAsync(channel, replicas);
        var before = replicas.Select(r => r.Calls.Count).ToList();

        for (var n = 0; n < 300; n++)
        {
            await VerifyAsync(channel);
        }

        Assert.That(replicas.Select((r, n) => r.Calls.Count - before[n]), Is.All.InRange(99, 101));
    }

    [Test]
    public async Task Replica_TakenOutUnderRunningCalls_FailsNone()
    {
        var replicas = await StartAsync(First, Second, Third);
        Name(First, Second, Third);
        await using var calls = new RunningCalls(Connect());
        await EventuallyCalledAgainAsync(replicas);

        // Its address is still there, as it is for a while in caches of DNS.
        await replicas[1].StopAsync();
        await EventuallyCalledAgainAsync(replicas[0], replicas[2]);
        Name(First, Third);
        await EventuallyCalledAgainAsync(replicas[0], replicas[2]);

        Assert.That(await calls.StopAsync(), Is.Empty);
    }

    [Test]
    public async Task Replica_NewAtTheName_GetsCallsWithinSeconds()
    {
        var old = await StartAsync(First, Second);
        Name(First, Second);
        await using var calls = new RunningCalls(Connect());
        await EventuallyCalledAgainAsync(old);

        var added = await StartAsync(Third);
        Name(First, Second, Third);
        await EventuallyCalledAgainAsync(added, ReplicaResolver.Interval + TimeSpan.FromSeconds(2));

        Assert.That(await calls.StopAsync(), Is.Empty);
    }

    [Test]
    public async Task Replica_NoLongerAtTheName_GetsNoCallsWithinSeconds()
    {
        var replicas = await StartAsync(First, Second);
        Name(First, Second);
        await using var calls = new RunningCalls(Connect());
        await EventuallyCalledAgainAsync(replicas);

        Name(First);
        var count = -1;
        await Eventually.IsTrueAsync(
            async () =>
            {
                var before = count;
                count = replicas[1].Calls.Count;
                await Task.Delay(300);
                return before == count;
            },
            "the replica gets no more calls",
            (int)ReplicaResolver.Interval.TotalSeconds + 2);

        Assert.That(await calls.StopAsync(), Is.Empty);
    }

    [Test]
    public async Task Replica_BackAtItsAddress_GetsCallsWithinSeconds()
    {
        var replicas = await StartAsync(First, Second);
        Name(First, Second);
        await using var calls = new RunningCalls(Connect());
        await EventuallyCalledAgainAsync(replicas);

        await replicas[1].StopAsync();
        await EventuallyCalledAgainAsync(replicas[0]);
        await EventuallyCalledAgainAsync(await StartAsync(Second), TimeSpan.FromSeconds(5));

        Assert.That(await calls.StopAsync(), Is.Empty);
    }

    /// <summary>A rolling update in Kubernetes: every replica gets another address, one after the other.</summary>
    [Test]
    public async Task Replicas_AllExchangedWithinSeconds_FailNoCall()
    {
        var old = await StartAsync(First, Second);
        Name(First, Second);
        await using var calls = new RunningCalls(Connect());
        await EventuallyCalledAgainAsync(old);

        var third = await StartAsync(Third);
        Name(Second, Third);
        await old[0].StopAsync();
        // As long as a replica takes to start, and shorter than the name is asked for anyhow.
        await Task.Delay(2_000);
        var fourth = await StartAsync(IPAddress.Parse("127.0.0.4"));
        Name(Third, IPAddress.Parse("127.0.0.4"));
        await old[1].StopAsync();
        await EventuallyCalledAgainAsync([.. third, .. fourth]);

        Assert.That(await calls.StopAsync(), Is.Empty);
    }

    [Test]
    public async Task Name_NotFoundForAWhile_FailsNoCall()
    {
        var replicas = await StartAsync(First);
        Name(First);
        await using var calls = new RunningCalls(Connect());
        await EventuallyCalledAgainAsync(replicas);

        Name();
        await Task.Delay(ReplicaResolver.Interval + ReplicaResolver.Pause);
        await EventuallyCalledAgainAsync(replicas);

        Assert.That(await calls.StopAsync(), Is.Empty);
    }

    [Test]
    public async Task Call_NameThatIsNotFound_IsUnavailable()
    {
        using var channel = Connect();

        var error = await Assert.ThrowsAsync<RpcException>(() => VerifyAsync(channel));

        Assert.That(error!.StatusCode, Is.EqualTo(StatusCode.Unavailable));
        Assert.That(error.Status.Detail, Does.Contain("'localhost' could not be looked up"));
        Assert.That(channel.HasConnected, Is.False);
    }

    [Test]
    public async Task Call_NameFoundLater_IsAnswered()
    {
        await StartAsync(First);
        using var channel = Connect();
        await Assert.ThrowsAsync<RpcException>(() => VerifyAsync(channel));

        Name(First);
        await Eventually.IsTrueAsync(() => IsAnsweredAsync(channel), "the name is asked for again", 4);
    }

    [Test]
    public async Task Call_ReplicaWithAnotherName_IsNotSent()
    {
        var elsewhere = authority.Issue(CertificateContent.Server with { DnsNames = ["elsewhere.example"] });
        hosts.Add(await MtlsHost.StartAsync(authority.Root, () => elsewhere.Certificate, at: new(First, port)));
        Name(First);
        using var channel = Connect();

        // The address alone, which its certificate bears, is not who it has to be.
        var error = await Assert.ThrowsAsync<RpcException>(() => VerifyAsync(channel));

        Assert.That(error!.Status.DebugException?.GetBaseException(), Is.InstanceOf<AuthenticationException>());
        Assert.That((hosts[0].Calls.Count, channel.HasConnected), Is.EqualTo((0, false)));
    }

    [Test]
    public async Task ClientCertificate_Replaced_IsShownToEveryReplica()
    {
        var replicas = await StartAsync(First, Second);
        Name(First, Second);
        var (old, replacement) = (authority.IssueClient(), authority.IssueClient());
        using var channel = Connect(old);
        await EventuallyCalledAsync(channel, replicas);

        File.Copy(replacement.CertificateFile, old.CertificateFile, overwrite: true);
        File.Copy(replacement.KeyFile, old.KeyFile, overwrite: true);
        await Eventually.IsTrueAsync(
            async () => await IsAnsweredAsync(channel) && replicas.All(r => r.Calls.Last().Serial == replacement.SerialNumber), "every replica has seen the new certificate");

        Assert.That(replicas.SelectMany(r => r.Calls), Is.All.Property(nameof(SeenCall.FirstDelivery)).True);
    }

    /// <summary>The machine's own name service, with whatever addresses it gives that name.</summary>
    [Test]
    public async Task Call_NameOfTheMachine_IsAnswered()
    {
        await StartAsync(First);
        using var channel = OtpAuthChannel.Create($"dns:///localhost:{port}", Tls(authority.IssueClient()));

        await VerifyAsync(channel);

        Assert.That(hosts[0].Calls, Has.Count.EqualTo(1));
    }

    private async Task<MtlsHost[]> StartAsync(params IPAddress[] addresses)
    {
        var started = new List<MtlsHost>();
        foreach (var address in addresses)
        {
            var certificate = authority.Issue(CertificateContent.Server with { Addresses = [] });
            started.Add(await MtlsHost.StartAsync(authority.Root, () => certificate.Certificate, at: new(address, port)));
        }

        hosts.AddRange(started);
        return [.. started];
    }

    /// <summary>What the name has for addresses from now on.</summary>
    private void Name(params IPAddress[] addresses) => named = addresses;

    private OtpAuthChannel Connect(TestCertificate? client = null) =>
        OtpAuthChannel.Create($"dns:///localhost:{port}", Tls(client ?? authority.IssueClient()), LookUpAsync);

    private Task<IPAddress[]> LookUpAsync(string host, CancellationToken cancellation) =>
        host == "localhost" && named.Length > 0 ? Task.FromResult(named) : throw new SocketException((int)SocketError.HostNotFound);

    private OtpAuthTls Tls(TestCertificate client) => new()
    {
        CertificateFile = client.CertificateFile, KeyFile = client.KeyFile, TrustFile = authority.BundleFile, ConnectionLifetime = TimeSpan.FromSeconds(1),
    };

    private static Task<V1.VerifyResponse> VerifyAsync(OtpAuthChannel channel) =>
        channel.OtpAuth.VerifyAsync(new() { RequestId = RequestId.New() }).ResponseAsync;

    private static async Task<bool> IsAnsweredAsync(OtpAuthChannel channel)
    {
        try
        {
            await VerifyAsync(channel);
            return true;
        }
        catch (RpcException)
        {
            return false;
        }
    }

    private static Task EventuallyCalledAsync(OtpAuthChannel channel, MtlsHost[] replicas) => Eventually.IsTrueAsync(
        async () => await IsAnsweredAsync(channel) && replicas.All(r => r.Calls.Count > 0), "every replica is connected");

    private static Task EventuallyCalledAgainAsync(params MtlsHost[] replicas) => EventuallyCalledAgainAsync(replicas, TimeSpan.FromSeconds(20));

    /// <summary>Each of them gets another hundred of the running calls.</summary>
    private static Task EventuallyCalledAgainAsync(MtlsHost[] replicas, TimeSpan within)
    {
        var before = replicas.Select(r => r.Calls.Count).ToList();
        return Eventually.IsTrueAsync(
            () => Task.FromResult(replicas.Select((r, n) => r.Calls.Count - before[n]).All(c => c >= 100)), "the replicas get calls", (int)within.TotalSeconds);
    }
}
