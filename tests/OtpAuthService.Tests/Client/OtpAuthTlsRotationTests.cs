using OtpAuthService.Client;
using OtpAuthService.Tests.Fixtures;

namespace OtpAuthService.Tests;

/// <summary>Certificates are replaced under running calls by replacing their files: no restart, no failed call, no second delivery.</summary>
public sealed class OtpAuthTlsRotationTests
{
    private TestAuthority authority = null!;
    private OtpAuthTls tls = null!;
    private TestCertificate old = null!;
    private TestCertificate replacement = null!;

    [SetUp]
    public void MakeFiles()
    {
        authority = new TestAuthority();
        (old, replacement) = (authority.IssueClient(), authority.IssueClient());
        tls = new()
        {
            CertificateFile = Path.Combine(authority.Folder, "tls.pem"),
            KeyFile = Path.Combine(authority.Folder, "tls.key"),
            TrustFile = Path.Combine(authority.Folder, "trust.pem"),
            ConnectionLifetime = TimeSpan.FromSeconds(1),
        };
        Put(old.CertificateFile, tls.CertificateFile);
        Put(old.KeyFile, tls.KeyFile);
        Put(authority.BundleFile, tls.TrustFile);
    }

    [TearDown]
    public void DisposeAuthority() => authority.Dispose();

    [Test]
    public async Task ClientCertificate_ReplacedUnderRunningCalls_FailsNone()
    {
        await using var host = await MtlsHost.StartAsync(authority, authority.IssueServer);
        await using var calls = new RunningCalls(host.Address, tls);
        await AnotherConnectionAsync(host, old);

        Put(replacement.CertificateFile, tls.CertificateFile!);
        await AnotherConnectionAsync(host, old);
        await AnotherConnectionAsync(host, old);
        Put(replacement.KeyFile, tls.KeyFile!);
        await AnotherConnectionAsync(host, replacement);

        Assert.That(await calls.StopAsync(), Is.Empty);
        Assert.That(host.Calls, Is.All.Property(nameof(SeenCall.FirstDelivery)).True);
    }

    [Test]
    public async Task TrustedRoots_ReplacedBeforeTheServersCertificate_FailNoCall()
    {
        using var successor = new TestAuthority("Successor CA");
        var (before, after) = (authority.IssueServer(), successor.IssueServer());
        var current = before;
        await using var host = await MtlsHost.StartAsync(authority, () => Volatile.Read(ref current));
        await using var calls = new RunningCalls(host.Address, tls);
        await AnotherConnectionAsync(host, old);

        await File.AppendAllTextAsync(tls.TrustFile!, "\n" + await File.ReadAllTextAsync(successor.BundleFile));
        Volatile.Write(ref current, after);
        await AnotherConnectionAsync(host, old);
        await AnotherConnectionAsync(host, old);
        Put(successor.BundleFile, tls.TrustFile!);
        await AnotherConnectionAsync(host, old);

        Assert.That(await calls.StopAsync(), Is.Empty);
        Assert.That(host.Calls, Is.All.Property(nameof(SeenCall.FirstDelivery)).True);
    }

    [Test]
    public async Task Files_GoneUnderRunningCalls_FailNoCall()
    {
        await using var host = await MtlsHost.StartAsync(authority, authority.IssueServer);
        await using var calls = new RunningCalls(host.Address, tls);
        await AnotherConnectionAsync(host, old);

        File.Delete(tls.CertificateFile!);
        File.Delete(tls.TrustFile!);
        await AnotherConnectionAsync(host, old);
        await AnotherConnectionAsync(host, old);

        Assert.That(await calls.StopAsync(), Is.Empty);
    }

    private static void Put(string from, string to) => File.Copy(from, to, overwrite: true);

    // The first one after a change may have been under way before it: where the certificate stays the same, the second is the proof.
    private static Task AnotherConnectionAsync(MtlsHost host, TestCertificate certificate)
    {
        var known = host.Calls.Select(call => call.Connection).ToHashSet();
        return Eventually.IsTrueAsync(
            () => Task.FromResult(host.Calls.Any(call => !known.Contains(call.Connection) && call.Serial == certificate.SerialNumber)),
            "another connection is made, with that certificate");
    }
}
