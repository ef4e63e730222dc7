using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using System.Text.Json.Serialization;
using Grpc.Net.Client;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Fixtures;

/// <summary>Callers of services under test: an authority, a certificate for each, and the files that a service is told of.</summary>
internal sealed class CallersUnderTest : IDisposable
{
    private static readonly JsonSerializerOptions Form = new(JsonSerializerDefaults.Web) { DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull };

    private readonly Dictionary<string, TestCertificate> certificates = [];
    private readonly TestAuthority authority;
    private readonly X509Certificate2Collection servers;

    public CallersUnderTest(params CallerRow[] callers)
        : this(new TestAuthority(), callers)
    {
    }

    public CallersUnderTest(TestAuthority authority, params CallerRow[] callers)
    {
        this.authority = authority;
        servers = [authority.Root];
        Serve(authority.IssueServer());
        File.Copy(authority.BundleFile, TrustFile);
        File.WriteAllText(RevokedFile, "");
        Write(callers);
    }

    public TestAuthority Authority => authority;

    public string CallersFile => Path.Combine(authority.Folder, "callers.json");

    public string RevokedFile => Path.Combine(authority.Folder, "revoked.pem");

    public string TrustFile => Path.Combine(authority.Folder, "trust.pem");

    public string ServerFile => Path.Combine(authority.Folder, "serving.pem");

    public string ServerKeyFile => Path.Combine(authority.Folder, "serving.key");

    /// <summary>For a service: an endpoint with mutual TLS beside the plaintext one of the other tests.</summary>
    public string[] Settings =>
    [
        "--Kestrel:Endpoints:GrpcTls:Url=https://127.0.0.1:0",
        "--Kestrel:Endpoints:GrpcTls:Protocols=Http2",
        $"--OtpAuth:Tls:CertificateFile={ServerFile}",
        $"--OtpAuth:Tls:KeyFile={ServerKeyFile}",
        $"--OtpAuth:Tls:TrustFile={TrustFile}",
        $"--OtpAuth:Tls:RevokedFile={RevokedFile}",
        $"--OtpAuth:CallersFile={CallersFile}",
    ];

    public static string NameOf(string id) => $"spiffe://bank.example/caller/{id}";

    /// <summary>Whom the file names, from now on; a service sees it within a second.</summary>
    public void Write(params CallerRow[] callers) =>
        File.WriteAllText(CallersFile, JsonSerializer.Serialize(new { callers }, Form));

    /// <summary>Has the service use another certificate.</summary>
    public void Serve(TestCertificate server)
    {
        File.Copy(server.CertificateFile, ServerFile, overwrite: true);
        File.Copy(server.KeyFile, ServerKeyFile, overwrite: true);
    }

    /// <summary>Has clients that connect from now on trust servers of another authority as well.</summary>
    public void TrustServersOf(TestAuthority other) => servers.Add(other.Root);

    /// <summary>The caller's certificate, the same each time.</summary>
    public TestCertificate CertificateOf(string id)
    {
        if (!certificates.TryGetValue(id, out var certificate))
        {
            certificates[id] = certificate = authority.IssueClient(NameOf(id));
        }

        return certificate;
    }

    public CallerConnection Connect(OtpService service, string id) => Connect(service, CertificateOf(id));

    /// <summary>Null: without a certificate.</summary>
    public CallerConnection Connect(OtpService service, TestCertificate? certificate, SslProtocols protocols = SslProtocols.None) =>
        new(service.TlsAddress, TlsOf(certificate, protocols));

    /// <summary>As a client with that certificate that trusts the authority's servers.</summary>
    public SslClientAuthenticationOptions TlsOf(TestCertificate? certificate, SslProtocols protocols = SslProtocols.None)
    {
        var tls = new SslClientAuthenticationOptions
        {
            EnabledSslProtocols = protocols,
            CertificateChainPolicy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck },
        };
        tls.CertificateChainPolicy.CustomTrustStore.AddRange(servers);
        if (certificate is not null)
        {
            var chain = new X509Certificate2Collection();
            chain.ImportFromPemFile(certificate.CertificateFile);
            tls.ClientCertificateContext = SslStreamCertificateContext.Create(certificate.Certificate, chain, offline: true);
        }

        return tls;
    }

    public void Dispose() => authority.Dispose();
}

/// <summary>A caller as it stands in the callers' file.</summary>
internal sealed record CallerRow(string Id, string[] Roles, params string[] Institutions)
{
    public string Name { get; init; } = CallersUnderTest.NameOf(Id);

    public string[]? Channels { get; init; }

    public int? CallsPerSecond { get; init; }

    public object? FailureBudget { get; init; }

    public DateTimeOffset? NotAfter { get; init; }

    public GrantRow[]? Bypass { get; init; }

    public static CallerRow Frontend(string id, params string[] institutions) => new(id, ["Frontend"], institutions);

    public static CallerRow Operator(string id, params string[] institutions) => new(id, ["Operator"], institutions);

    public static CallerRow Gateway(string id, params GrantRow[] grants) =>
        new(id, ["MobileGateway"], [.. grants.Select(g => g.Institution)]) { Bypass = grants };
}

/// <summary>A bypass grant as it stands in the callers' file.</summary>
internal sealed record GrantRow(string Institution, DateTimeOffset From, DateTimeOffset NotAfter)
{
    public string Reason { get; init; } = "feature phones have no token program";

    public string Approver { get; init; } = "head of internet banking";

    public int PerMinute { get; init; } = 1_000;

    public int PerContractorPerHour { get; init; } = 100;
}

/// <summary>A connection with a client certificate.</summary>
internal sealed class CallerConnection : IDisposable
{
    private readonly GrpcChannel channel;

    public CallerConnection(string address, SslClientAuthenticationOptions tls)
    {
        channel = GrpcChannel.ForAddress(address, new GrpcChannelOptions { HttpHandler = new SocketsHttpHandler { SslOptions = tls } });
        Auth = new OtpAuth.OtpAuthClient(channel);
        Operations = new OtpOperations.OtpOperationsClient(channel);
    }

    public OtpAuth.OtpAuthClient Auth { get; }

    public OtpOperations.OtpOperationsClient Operations { get; }

    public GrpcChannel Channel => channel;

    public void Dispose() => channel.Dispose();
}
