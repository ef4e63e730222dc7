using Grpc.Net.Client;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;
using OpenTelemetry.Exporter;
using OtpAuthService.Hosting;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Fixtures;

/// <summary>The real service on a real port, in this process so that the test owns its clock.</summary>
internal sealed class OtpService : IAsyncDisposable
{
    private readonly WebApplication app;
    private readonly StoresUnderTest stores;
    private readonly bool ownsStores;
    private readonly GrpcChannel channel;

    private OtpService(WebApplication app, StoresUnderTest stores, bool ownsStores, FakeTimeProvider clock, ErrorLog errors)
    {
        this.app = app;
        this.stores = stores;
        this.ownsStores = ownsStores;
        Clock = clock;
        Errors = errors;
        Address = app.Urls.First();
        ManagementAddress = app.Urls.Last();
        channel = GrpcChannel.ForAddress(Address);
        Auth = new OtpAuth.OtpAuthClient(channel);
        Operations = new OtpOperations.OtpOperationsClient(channel);
    }

    public FakeTimeProvider Clock { get; }

    public ErrorLog Errors { get; }

    public string Address { get; }

    public string ManagementAddress { get; }

    /// <summary>Where calls come in by mutual TLS, with the settings of <see cref="CallersUnderTest"/>.</summary>
    public string TlsAddress => app.Urls.Single(url => url.StartsWith("https:", StringComparison.Ordinal));

    public GrpcChannel Channel => channel;

    public OtpAuth.OtpAuthClient Auth { get; }

    public OtpOperations.OtpOperationsClient Operations { get; }

    public StoresUnderTest Stores => stores;

    public IServiceProvider Services => app.Services;

    public static async Task<OtpService> StartAsync(StoreKind kind, params string[] settings) =>
        await StartAsync(kind, _ => { }, settings);

    /// <summary>With options that are not settings.</summary>
    public static async Task<OtpService> StartAsync(StoreKind kind, Action<OtpAuthOptions> configure, params string[] settings) =>
        await StartAsync(await StoresUnderTest.CreateAsync(kind), ownsStores: true, clock: null, configure, settings);

    /// <summary>Another replica on the same stores; it has the clock it is given.</summary>
    public static Task<OtpService> StartAsync(StoresUnderTest stores, FakeTimeProvider? clock = null, params string[] settings) =>
        StartAsync(stores, ownsStores: false, clock, _ => { }, settings);

    /// <summary>With parts of its own.</summary>
    public static Task<OtpService> StartAsync(StoresUnderTest stores, FakeTimeProvider? clock, Action<IServiceCollection> exchange) =>
        StartAsync(stores, ownsStores: false, clock, _ => { }, [], exchange);

    /// <summary>As a replica that is taken out: it ends what it has begun.</summary>
    public Task StopAsync() => app.StopAsync();

    public async ValueTask DisposeAsync()
    {
        channel.Dispose();
        await EndAsync(app);
        if (ownsStores)
        {
            stores.Dispose();
        }
    }

    /// <summary>
    /// At once: calls under way are cut. Disposed of alone, it would never be collected: what publishes its health goes on until it is stopped.
    /// </summary>
    private static async Task EndAsync(WebApplication app)
    {
        try
        {
            await app.StopAsync(new CancellationToken(canceled: true));
        }
        catch (OperationCanceledException)
        {
            // It has not waited.
        }

        await app.DisposeAsync();
    }

    private static async Task<OtpService> StartAsync(
        StoresUnderTest stores, bool ownsStores, FakeTimeProvider? clock, Action<OtpAuthOptions> configure, string[] settings, Action<IServiceCollection>? exchange = null)
    {
        // Five seconds into a step, so that a test knows when the next one begins.
        var now = TimeProvider.System.GetUtcNow().ToUnixTimeSeconds();
        clock ??= new FakeTimeProvider(DateTimeOffset.FromUnixTimeSeconds((now / 60 * 60) + 5));
        var checksClock = settings.Any(s => s.StartsWith("--OtpAuth:MaxClockOffset", StringComparison.Ordinal));
        var errors = new ErrorLog();
        var app = Server.Build(
            [.. CommonSettings(stores), .. settings],
            builder =>
            {
                builder.Services.AddSingleton<TimeProvider>(clock);
                builder.Services.PostConfigure<OtpAuthOptions>(options => options.TrustAnyClock = !checksClock);
                builder.Services.PostConfigure(configure);
                // A test that looks twice in a moment is to see what has happened in between.
                builder.Services.Configure<PrometheusAspNetCoreOptions>(exporter => exporter.ScrapeResponseCacheDurationMilliseconds = 0);
                exchange?.Invoke(builder.Services);
                builder.Logging.ClearProviders();
                builder.Logging.AddProvider(errors);
            });
        try
        {
            await Server.PrepareAsync(app, TextWriter.Null);
        }
        catch
        {
            await EndAsync(app);
            throw;
        }

        await app.StartAsync();
        return new OtpService(app, stores, ownsStores, clock, errors);
    }

    /// <summary>Settings of a service under test, also of one in another process.</summary>
    public static IEnumerable<string> CommonSettings(StoresUnderTest stores) =>
    [
        .. stores.Settings.Select(setting => $"--{setting.Key}={setting.Value}"),
        "--environment=Development",
        "--Kestrel:Endpoints:Grpc:Url=http://127.0.0.1:0",
        "--Kestrel:Endpoints:Management:Url=http://127.0.0.1:0",
        // The table for the default's million is made at the start: megabytes for each of the services that a run starts.
        "--OtpAuth:KeyCacheEntries=1000",
        "--OtpAuth:LocalCaller:Enabled=true",
        "--OtpAuth:LocalCaller:Bypass=true",
        "--OtpAuth:LocalCaller:Institutions:0=demo",
        "--OtpAuth:LocalCaller:Institutions:1=minato",
    ];
}
