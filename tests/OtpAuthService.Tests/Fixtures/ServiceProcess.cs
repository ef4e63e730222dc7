using System.Text.RegularExpressions;
using Grpc.Net.Client;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Fixtures;

/// <summary>A service in a process of its own, by the real clock: for what only separate processes can show.</summary>
internal sealed partial class ServiceProcess : IAsyncDisposable
{
    private readonly ChildProcess process;
    private readonly GrpcChannel channel;

    private ServiceProcess(ChildProcess process, string address)
    {
        this.process = process;
        Address = address;
        channel = GrpcChannel.ForAddress(address);
        Auth = new OtpAuth.OtpAuthClient(channel);
        Operations = new OtpOperations.OtpOperationsClient(channel);
    }

    public string Address { get; }

    public OtpAuth.OtpAuthClient Auth { get; }

    public OtpOperations.OtpOperationsClient Operations { get; }

    /// <summary>Host and port of the endpoint with mutual TLS, with the settings of <see cref="CallersUnderTest"/>.</summary>
    public string TlsAuthority => ListeningTls().Match(process.Output).Groups[1].Value;

    /// <summary>The copy beside the tests lacks the settings file; the project's own output is what users run.</summary>
    public static string ThisVersion { get; } = typeof(Server).Assembly.Location.Replace(
        Path.Combine("tests", "OtpAuthService.Tests"), Path.Combine("src", "OtpAuthService"), StringComparison.Ordinal);

    public static Task<ServiceProcess> StartAsync(StoresUnderTest stores, params string[] settings) => StartVersionAsync(ThisVersion, stores, settings);

    /// <param name="program">The service's assembly.</param>
    /// <param name="stores">What it runs on.</param>
    /// <param name="settings">Besides those of every service under test.</param>
    public static async Task<ServiceProcess> StartVersionAsync(string program, StoresUnderTest stores, params string[] settings)
    {
        var process = ChildProcess.Start("dotnet", [program, .. OtpService.CommonSettings(stores), .. settings]);
        await Eventually.IsTrueAsync(() => Task.FromResult(Started().IsMatch(process.Output) || process.HasExited), "the service has started", 60);
        if (process.HasExited)
        {
            throw new InvalidOperationException($"The service has not started:\n{process.Output}");
        }

        return new ServiceProcess(process, Listening().Match(process.Output).Groups[1].Value);
    }

    /// <summary>As many replicas as the stores take: one on SQLite, two on PostgreSQL.</summary>
    public static async Task<IReadOnlyList<ServiceProcess>> StartReplicasAsync(StoresUnderTest stores)
    {
        var first = await StartAsync(stores);
        return stores.Kind == StoreKind.Sqlite ? [first] : [first, await StartAsync(stores)];
    }

    /// <summary>As an orchestrator takes a replica out: SIGTERM, and the code that it exits with.</summary>
    public Task<int> TerminateAsync()
    {
        process.Signal("TERM");
        return process.WaitForExitAsync();
    }

    /// <summary>As a machine that is gone.</summary>
    public void Kill() => process.Signal("KILL");

    public ValueTask DisposeAsync()
    {
        channel.Dispose();
        if (TestContext.CurrentContext.Result.FailCount > 0)
        {
            TestContext.Progress.WriteLine(process.Output);
        }

        process.Dispose();
        return ValueTask.CompletedTask;
    }

    [GeneratedRegex("Application started")]
    private static partial Regex Started();

    [GeneratedRegex(@"Now listening on: https://(\S+)")]
    private static partial Regex ListeningTls();

    [GeneratedRegex(@"Now listening on: (http://\S+)")]
    private static partial Regex Listening();
}
