using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using Grpc.Core;
using OtpAuthService.Client;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests;

/// <summary>What the channel shows of its certificate, and which servers it believes.</summary>
public sealed class OtpAuthTlsTests
{
    private TestAuthority authority = null!;

    [SetUp]
    public void MakeAuthority() => authority = new TestAuthority();

    [TearDown]
    public void DisposeAuthority() => authority.Dispose();

    [TestCase(SslProtocols.Tls12)]
    [TestCase(SslProtocols.Tls13)]
    public async Task Call_RightCertificate_IsAnsweredAndShowsIt(SslProtocols protocol)
    {
        var client = authority.IssueClient();
        await using var host = await MtlsHost.StartAsync(authority, authority.IssueServer, protocol);
        using var channel = OtpAuthChannel.Create(host.Address, Tls(client));

        Assert.That((await VerifyAsync(channel)).Outcome, Is.EqualTo(Outcome.Accepted));

        Assert.That(host.Calls.Single().Serial, Is.EqualTo(client.SerialNumber));
        Assert.That(channel.HasConnected, Is.True);
    }

    [Test]
    public async Task Call_ByHostName_IsAnswered()
    {
        await using var host = await MtlsHost.StartAsync(authority, authority.IssueServer);
        using var channel = OtpAuthChannel.Create(host.Address.Replace("127.0.0.1", "localhost"), Tls(authority.IssueClient()));

        Assert.That((await VerifyAsync(channel)).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    [Test]
    public async Task Call_CertificateAsAnObject_IsAnswered()
    {
        var client = authority.IssueClient();
        await using var host = await MtlsHost.StartAsync(authority, authority.IssueServer);
        using var channel = OtpAuthChannel.Create(host.Address, new() { Certificate = client.Certificate, TrustFile = authority.BundleFile });

        await VerifyAsync(channel);

        Assert.That(host.Calls.Single().Serial, Is.EqualTo(client.SerialNumber));
    }

    [Test]
    public async Task Call_KeyInTheCertificatesFile_IsAnswered()
    {
        var client = authority.IssueClient();
        await File.AppendAllTextAsync(client.CertificateFile, "\n" + await File.ReadAllTextAsync(client.KeyFile));
        await using var host = await MtlsHost.StartAsync(authority, authority.IssueServer);
        using var channel = OtpAuthChannel.Create(host.Address, new() { CertificateFile = client.CertificateFile, TrustFile = authority.BundleFile });

        Assert.That((await VerifyAsync(channel)).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    [Test]
    public async Task Call_CertificateOfAnIntermediate_IsSentWithIt()
    {
        using var deep = new TestAuthority("Deep CA", withIntermediate: true);
        await using var host = await MtlsHost.StartAsync(deep, authority.IssueServer);
        using var channel = OtpAuthChannel.Create(host.Address, Tls(deep.IssueClient()));

        Assert.That((await VerifyAsync(channel)).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    [Test]
    public async Task Call_ServerOfAnotherAuthority_IsNotSent()
    {
        using var other = new TestAuthority("Other CA");
        await using var host = await MtlsHost.StartAsync(authority, other.IssueServer);

        await AssertNotSentAsync(host, host.Address, Tls(authority.IssueClient()));
    }

    [Test]
    public async Task Call_ServerOfAnAuthorityTheSystemDoesNotKnow_IsNotSent()
    {
        var client = authority.IssueClient();
        await using var host = await MtlsHost.StartAsync(authority, authority.IssueServer);

        await AssertNotSentAsync(host, host.Address, new() { CertificateFile = client.CertificateFile, KeyFile = client.KeyFile });
    }

    [Test]
    public async Task Call_ServerWithAnotherName_IsNotSent()
    {
        var elsewhere = authority.Issue(CertificateContent.Server with { DnsNames = ["elsewhere.example"], Addresses = [] });
        await using var host = await MtlsHost.StartAsync(authority, () => elsewhere);

        await AssertNotSentAsync(host, host.Address, Tls(authority.IssueClient()));
        await AssertNotSentAsync(host, host.Address.Replace("127.0.0.1", "localhost"), Tls(authority.IssueClient()));
    }

    [Test]
    public async Task Call_ServerWithAClientsCertificate_IsNotSent()
    {
        // Kestrel would not serve with one.
        var client = authority.Issue(CertificateContent.Server with { Uses = [CertificateContent.ClientUse] });
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var impostor = ShakeHandsAsync(listener, client);
        using var channel = OtpAuthChannel.Create($"https://{listener.LocalEndpoint}", Tls(authority.IssueClient()));

        await AssertNotSentAsync(channel);
        await impostor;
    }

    [Test]
    public async Task Call_ServerWithAnExpiredCertificate_IsNotSent()
    {
        var expired = authority.Issue(CertificateContent.Server.Expired());
        await using var host = await MtlsHost.StartAsync(authority, () => expired);

        await AssertNotSentAsync(host, host.Address, Tls(authority.IssueClient()));
    }

    [TestCase(SslProtocols.Tls12)]
    [TestCase(SslProtocols.Tls13)]
    public async Task Call_NoClientCertificate_IsRefusedByTheServer(SslProtocols protocol)
    {
        await using var host = await MtlsHost.StartAsync(authority, authority.IssueServer, protocol);
        using var channel = OtpAuthChannel.Create(host.Address, new() { TrustFile = authority.BundleFile });

        var error = await Assert.ThrowsAsync<RpcException>(() => VerifyAsync(channel));

        // Which of them depends on how far the client had come when the server hung up.
        Assert.That(error!.StatusCode, Is.EqualTo(StatusCode.Unavailable).Or.EqualTo(StatusCode.Internal));
        Assert.That(host.Calls, Is.Empty);
    }

    [Test]
    public async Task Call_HandshakeThatHangs_IsTriedAgainWithinTheDeadline()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        using var channel = OtpAuthChannel.Create($"https://{listener.LocalEndpoint}", Tls(authority.IssueClient()));

        var call = VerifyAsync(channel);
        using var silent = await listener.AcceptTcpClientAsync();
        using var second = await listener.AcceptTcpClientAsync().WaitAsync(OtpAuthChannel.DefaultDeadline);

        var error = await Assert.ThrowsAsync<RpcException>(() => call);
        Assert.That(error!.StatusCode, Is.EqualTo(StatusCode.DeadlineExceeded));
        Assert.That(channel.HasConnected, Is.False);
    }

    private OtpAuthTls Tls(TestCertificate client) =>
        new() { CertificateFile = client.CertificateFile, KeyFile = client.KeyFile, TrustFile = authority.BundleFile };

    private static Task<VerifyResponse> VerifyAsync(OtpAuthChannel channel) =>
        channel.OtpAuth.VerifyAsync(new() { RequestId = RequestId.New() }).ResponseAsync;

    private static async Task AssertNotSentAsync(MtlsHost host, string address, OtpAuthTls tls)
    {
        using var channel = OtpAuthChannel.Create(address, tls);
        await AssertNotSentAsync(channel);
        Assert.That(host.Calls, Is.Empty);
    }

    private static async Task AssertNotSentAsync(OtpAuthChannel channel)
    {
        var error = await Assert.ThrowsAsync<RpcException>(() => VerifyAsync(channel));
        Assert.That(error!.Status.DebugException?.GetBaseException(), Is.InstanceOf<AuthenticationException>());
        Assert.That(channel.HasConnected, Is.False);
    }

    private static async Task ShakeHandsAsync(TcpListener listener, TestCertificate certificate)
    {
        using var accepted = await listener.AcceptTcpClientAsync();
        await using var server = new SslStream(accepted.GetStream());
        await server.AuthenticateAsServerAsync(new SslServerAuthenticationOptions
        {
            ServerCertificate = certificate.Certificate,
            ApplicationProtocols = [SslApplicationProtocol.Http2],
        });
    }
}
