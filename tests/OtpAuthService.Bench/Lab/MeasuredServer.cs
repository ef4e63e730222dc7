using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using OtpAuthService.Bench.Client;
using OtpAuthService.Bench.Commands;
using OtpAuthService.Bench.Rivals;
using OtpAuthService.Callers;
using OtpAuthService.Tests.Fixtures;

namespace OtpAuthService.Bench.Lab;

/// <summary>A server in a process of its own, product or rival, with what can be read of it from outside.</summary>
internal sealed class MeasuredServer : IDisposable
{
    private readonly ChildProcess process;
    private readonly Uri metrics;
    private readonly HttpClient http = new() { Timeout = TimeSpan.FromSeconds(10) };

    private MeasuredServer(ChildProcess process, int grpcPort, int managementPort, Endpoint? tls)
    {
        this.process = process;
        Plain = new Endpoint(new Uri($"http://127.0.0.1:{grpcPort}"));
        Tls = tls;
        metrics = new Uri($"http://127.0.0.1:{managementPort}/metrics");
    }

    public int ProcessId => process.Id;

    public Endpoint Plain { get; }

    public Endpoint? Tls { get; }

    /// <summary>What it has written; said where a run fails.</summary>
    public string Output => process.Output;

    /// <summary>The published product on PostgreSQL and Redis.</summary>
    public static async Task<MeasuredServer> StartProductAsync(
        Publication published, string postgres, string redis, string kekFile, TestAuthority? authority = null)
    {
        var (grpc, management, tls) = (Loopback.FreePort(), Loopback.FreePort(), Loopback.FreePort());
        var settings = new Dictionary<string, string>
        {
            // Plaintext is not for production; and Development would have every request's dependencies checked as well.
            ["DOTNET_ENVIRONMENT"] = "Staging",
            ["ConnectionStrings__Postgres"] = postgres,
            ["ConnectionStrings__Redis"] = redis,
            ["OtpAuth__KekFile"] = kekFile,
            ["OtpAuth__MigrateOnStart"] = "true",
            ["OtpAuth__LocalCaller__Enabled"] = "true",
            ["OtpAuth__LocalCaller__Institutions__0"] = Populations.Population.Institution,
            ["Kestrel__Endpoints__Grpc__Url"] = $"http://127.0.0.1:{grpc}",
            ["Kestrel__Endpoints__Management__Url"] = $"http://127.0.0.1:{management}",
        };
        var client = authority is null ? null : AddTls(settings, authority, tls);
        var process = ChildProcess.Start("dotnet", [published.Program], settings);
        await StartedAsync(process, "Application started");
        return new MeasuredServer(
            process,
            grpc,
            management,
            client is null ? null : new Endpoint(new Uri($"https://127.0.0.1:{tls}"), new ClientTls(client.Certificate, authority!.Root)));
    }

    /// <summary>A rival, from this assembly and with the product's runtime settings.</summary>
    public static async Task<MeasuredServer> StartRivalAsync(Publication published, RivalKind rival, string postgres, string redis)
    {
        var settings = new RivalSettings(Loopback.FreePort(), Loopback.FreePort(), postgres, redis);
        var process = ChildProcess.Start(
            "dotnet",
            ["exec", "--runtimeconfig", published.RuntimeConfig, typeof(MeasuredServer).Assembly.Location, .. ServeCommand.Arguments(rival, settings)]);
        await StartedAsync(process, RivalHost.Ready);
        return new MeasuredServer(process, settings.GrpcPort, settings.ManagementPort, tls: null);
    }

    /// <summary>Bytes allocated since the start, by the runtime's own counter.</summary>
    public Task<double> ReadAllocatedBytesAsync() => ReadAsync("dotnet_gc_heap_total_allocated_bytes_total");

    /// <summary>Seconds that the compiler has worked since the start, by the same.</summary>
    public Task<double> ReadCompilationSecondsAsync() => ReadAsync("dotnet_jit_compilation_time_seconds_total");

    private async Task<double> ReadAsync(string counter)
    {
        var text = await http.GetStringAsync(metrics);
        return Regex.Match(text, $@"^{counter}(?:\{{[^}}]*\}})? (\S+)", RegexOptions.Multiline) is { Success: true } match
            ? double.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture)
            : throw new InvalidOperationException($"/metrics does not tell {counter}.");
    }

    public void Dispose()
    {
        process.Dispose();
        http.Dispose();
    }

    /// <summary>
    /// Mutual TLS for one front end. Its wrong OTPs are not to stop it: a run sends more than ten minutes of a real front end may have.
    /// </summary>
    /// <returns>The front end's certificate.</returns>
    private static TestCertificate AddTls(Dictionary<string, string> settings, TestAuthority authority, int port)
    {
        var callers = new[]
        {
            new
            {
                id = "bench",
                name = CertificateContent.FrontendUri,
                roles = new[] { nameof(CallerRoles.Frontend) },
                institutions = new[] { Populations.Population.Institution },
                failureBudget = new { signal = 1_000_000, stop = 1_000_000 },
            },
        };
        var callersFile = Path.Combine(authority.Folder, "callers.json");
        File.WriteAllText(callersFile, JsonSerializer.Serialize(new { callers }));
        var server = authority.IssueServer();
        settings["Kestrel__Endpoints__GrpcTls__Url"] = $"https://127.0.0.1:{port}";
        settings["Kestrel__Endpoints__GrpcTls__Protocols"] = "Http2";
        settings["OtpAuth__Tls__CertificateFile"] = server.CertificateFile;
        settings["OtpAuth__Tls__KeyFile"] = server.KeyFile;
        settings["OtpAuth__Tls__TrustFile"] = authority.BundleFile;
        settings["OtpAuth__CallersFile"] = callersFile;
        return authority.IssueClient();
    }

    private static async Task StartedAsync(ChildProcess process, string sign)
    {
        await Eventually.IsTrueAsync(
            () => Task.FromResult(process.HasExited || process.Output.Contains(sign, StringComparison.Ordinal)), "a server has started", 60);
        if (process.HasExited)
        {
            throw new InvalidOperationException($"A server has not started:\n{process.Output}");
        }
    }
}
