using System.Reflection;
using System.Security.Cryptography;
using Grpc.AspNetCore.Server.Model;
using Microsoft.AspNetCore.Diagnostics.HealthChecks;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Options;
using OpenTelemetry;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;
using OtpAuthService.Audit;
using OtpAuthService.Bindings;
using OtpAuthService.Callers;
using OtpAuthService.Credentials;
using OtpAuthService.Diagnoses;
using OtpAuthService.Events;
using OtpAuthService.Hosting;
using OtpAuthService.Institutions;
using OtpAuthService.Keys;
using OtpAuthService.Services;
using OtpAuthService.Storage;
using OtpAuthService.Submissions;
using OtpAuthService.Telemetry;
using OtpAuthService.Verification;

namespace OtpAuthService;

/// <summary>The map of the service: settings → stores → credentials → verification → services.</summary>
internal static class Server
{
    /// <summary>Requests of front ends are small; more than this is refused with RESOURCE_EXHAUSTED.</summary>
    private const int MaxRequestBytes = 4 * 1024;

    /// <summary>Operators' imports come in pieces of 32 KiB.</summary>
    private const int MaxOperationsBytes = 64 * 1024;

    /// <summary>Of this program, as the repository's tags give it, and its commit.</summary>
    public static string? Version => typeof(Server).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion;

    /// <summary>Puts the service together without starting it.</summary>
    /// <param name="args">Settings as <c>--Section:Name=value</c>.</param>
    /// <param name="configure">What a host wants otherwise, such as another clock.</param>
    public static WebApplication Build(string[] args, Action<WebApplicationBuilder>? configure = null)
    {
        // Settings lie beside the program; the embedded default's data lies in the working directory.
        var builder = WebApplication.CreateBuilder(new WebApplicationOptions { Args = args, ContentRootPath = AppContext.BaseDirectory });
        builder.Configuration.AddSecretFiles();
        var embedded = builder.Configuration.IsEmbedded();
        AddSettings(builder.Services, embedded);

        builder.Services.AddSingleton(TimeProvider.System);
        builder.Services.AddStores(builder.Configuration);
        AddCredentials(builder.Services);
        AddDecisions(builder.Services);
        AddDiagnosis(builder.Services);
        AddGrpc(builder.Services, embedded);
        AddTelemetry(builder.Services, builder.Configuration);
        AddDraining(builder.Services);
        EdgeLimits.Apply(builder);
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            Endpoints.UseTls(kestrel, builder.Configuration, () => kestrel.ApplicationServices.GetRequiredService<CallerTls>().Handshakes);
            Endpoints.UseProbes(kestrel, builder.Configuration);
        });
        configure?.Invoke(builder);

        var app = builder.Build();
        Map(app, embedded);
        return app;
    }

    /// <summary>Everything that must hold before calls are taken.</summary>
    public static async Task PrepareAsync(WebApplication app, TextWriter output)
    {
        var embedded = app.Configuration.IsEmbedded();
        var options = app.Services.GetRequiredService<IOptions<OtpAuthOptions>>().Value;
        var log = app.Services.GetRequiredService<ILogger<StartUp>>();
        if (app.Environment.IsProduction())
        {
            CoreDumps.Forbid();
        }

        if (embedded)
        {
            if (app.Environment.IsProduction() && !options.AllowEmbeddedInProduction)
            {
                throw new StartRefusedException(
                    "No PostgreSQL is set, and the embedded default is not for production. Set ConnectionStrings__Postgres, or force it with OtpAuth__AllowEmbeddedInProduction=true.");
            }

            Embedded.PrepareFolder(options);
            log.Embedded(Path.GetFullPath(options.DataFolder));
        }

        if (Endpoints.Check(app.Configuration, options, app.Environment, embedded) && options.LocalCaller is { } local)
        {
            log.LocalCaller(local.Roles.ToString());
        }

        // Made now and not by the first call: the callers' file has to be readable.
        app.Services.GetRequiredService<CallerDirectory>();
        // Made now and not by the first customer's call: connects to Redis, and has the metrics told from the start.
        app.Services.GetRequiredService<Gauges>();
        var start = app.Services.GetRequiredService<StartUp>();
        foreach (var setting in app.Environment.IsProduction() ? StoreSettings.FindPlaintext(app.Configuration) : [])
        {
            log.StoreInPlaintext(setting);
        }

        await start.PrepareAsync(embedded, CancellationToken.None);
        if (embedded)
        {
            await ActivatorUtilities.CreateInstance<Embedded>(app.Services, output).WelcomeAsync(CancellationToken.None);
        }
    }

    private static void AddSettings(IServiceCollection services, bool embedded) => services.AddOptions<OtpAuthOptions>()
            .BindConfiguration(OtpAuthOptions.Section)
            .PostConfigure(options =>
            {
                if (embedded)
                {
                    Embedded.Complete(options);
                }
            })
            .ValidateDataAnnotations()
            .ValidateOnStart();

    private static void AddCredentials(IServiceCollection services)
    {
        services.AddHealthChecks().AddCheck<KeysHealthCheck>("keys");
        services
            .AddSingleton<IKekProvider>(provider => provider.GetRequiredService<IOptions<OtpAuthOptions>>().Value switch
            {
                { Pkcs11: { } module } => new Pkcs11Kek(module),
                { Transit: { } server } => new TransitKek(server),
                var options => new FileKek(options.KekFile!),
            })
            .AddSingleton<DataKeys>()
            .AddSingleton(RandomNumberGenerator.Create())
            .AddSingleton<KeyWrapping>()
            .AddSingleton<KeyRotation>()
            .AddSingleton<Rewrapping>()
            .AddHostedService(provider => provider.GetRequiredService<Rewrapping>())
            .AddSingleton<CredentialKeyCache>()
            .AddSingleton<CredentialIssuer>()
            .AddSingleton<CredentialImport>()
            .AddSingleton<SupplierDirectory>()
            .AddSingleton<CredentialExport>();
    }

    private static void AddDecisions(IServiceCollection services) => services
        .AddSingleton<StartUp>()
        .AddSingleton<Fingerprints>()
        .AddSingleton<FailureTallies>()
        .AddHostedService(provider => provider.GetRequiredService<FailureTallies>())
        .AddSingleton<ContractorNames>()
        .AddSingleton<AuditChains>()
        .AddSingleton<HeadSigner>()
        .AddSingleton<HeadShipment>()
        .AddSingleton<StoredLinks>()
        .AddSingleton<AuditQuery>()
        .AddSingleton<AuditVerification>()
        .AddSingleton<AuditRetirement>()
        .AddSingleton<AuditHeads>()
        .AddHostedService(provider => provider.GetRequiredService<AuditHeads>())
        .AddSingleton<DecisionLedger>()
        .AddHostedService<Sweeper>()
        .AddSingleton<InstitutionDirectory>()
        .AddSingleton<NewestBindings>()
        .AddSingleton<BindingDirectory>()
        .AddSingleton<Registration>()
        .AddSingleton<Suspension>()
        .AddSingleton<Replacement>()
        .AddSingleton<Resynchronization>()
        .AddSingleton<BindingActs>()
        .AddSingleton<Loss>()
        .AddSingleton<Reregistration>()
        .AddSingleton<Unlocking>()
        .AddSingleton<BindingStop>()
        .AddSingleton<TemporaryOtps>()
        .AddSingleton<OtpCheck>()
        .AddSingleton<BypassOptOut>()
        .AddSingleton<BypassSwitch>()
        .AddSingleton<PolicyChange>()
        .AddSingleton<GenericAnswers>()
        .AddSingleton<Bypass>()
        .AddSingleton<OtpChecker>()
        .AddSingleton<FenceRaising>()
        .AddSingleton<EventStream>()
        .AddSingleton<OtpRequirement>()
        .AddSingleton<OtpVerifier>();

    private static void AddDiagnosis(IServiceCollection services) => services
        .AddSingleton<DatabaseCheck>()
        .AddSingleton<RedisCheck>()
        .AddSingleton<KekCheck>()
        .AddSingleton<CertificateCheck>()
        .AddSingleton<CallerCheck>()
        .AddSingleton<AuditCheck>()
        .AddSingleton<Diagnosis>();

    /// <summary>All that is around a call, whatever it does.</summary>
    internal static void AddGrpc(IServiceCollection services, bool embedded)
    {
        services.AddSingleton<FileWatch>().AddHostedService(provider => provider.GetRequiredService<FileWatch>());
        services.AddSingleton(provider => ActivatorUtilities.CreateInstance<CallerTls>(
            provider, provider.GetRequiredService<IOptions<OtpAuthOptions>>().Value.Tls!));
        services.AddSingleton<CallerDirectory>();
        services.AddSingleton<CallRates>();
        services.AddSingleton<CallInterceptor>();
        services.AddSingleton<CallDeadlines>();
        services.AddGrpc(grpc =>
            {
                grpc.MaxReceiveMessageSize = MaxRequestBytes;
                grpc.Interceptors.Add<CallInterceptor>();
            })
            .AddServiceOptions<OtpOperationsGrpcService>(grpc => grpc.MaxReceiveMessageSize = MaxOperationsBytes);
        // Each asked about looks at once, and whoever watches hears of a change within a second.
        services.AddGrpcHealthChecks(health =>
        {
            health.Services.Map(V1.OtpAuth.Descriptor.FullName, _ => true);
            health.Services.Map(V1.OtpOperations.Descriptor.FullName, _ => true);
            health.Services.Map("live", check => check.Name == "live");
        });
        // Of a service without a check gRPC's health says UNKNOWN.
        services.AddHealthChecks().AddCheck("live", () => HealthCheckResult.Healthy());
        services.Configure<HealthCheckPublisherOptions>(publisher => (publisher.Delay, publisher.Period) = (TimeSpan.Zero, TimeSpan.FromSeconds(1)));
        if (embedded)
        {
            services.AddGrpcReflection();
        }

        services.RemoveAll(typeof(IServiceMethodProvider<>));
        services.AddSingleton(typeof(IServiceMethodProvider<>), typeof(StrictMethodProvider<>));
    }

    /// <summary>Traces and logs leave by OTLP alone, so they are made where it is set. The environment has the last word on what the service is called.</summary>
    private static void AddTelemetry(IServiceCollection services, ConfigurationManager configuration)
    {
        services.AddSingleton<Gauges>().AddSingleton<Expiries>();
        var telemetry = AddMetrics(services).ConfigureResource(resource => resource.AddService("otp-auth-service", serviceVersion: Version).AddEnvironmentVariableDetector());
        if (!string.IsNullOrEmpty(configuration["OTEL_EXPORTER_OTLP_ENDPOINT"]))
        {
            telemetry.WithTracing(traces => traces.AddSource(Spans.SourceName)).WithLogging().UseOtlpExporter();
        }
    }

    internal static OpenTelemetryBuilder AddMetrics(IServiceCollection services) => services
        .AddSingleton<Instruments>()
        .AddSingleton<SecurityEvents>()
        .AddOpenTelemetry().WithMetrics(metrics => metrics
            .AddMeter(Instruments.MeterName, "Npgsql", "Microsoft.AspNetCore.Server.Kestrel")
            .AddRuntimeInstrumentation()
            .AddPrometheusExporter());

    private static void AddDraining(IServiceCollection services)
    {
        services.AddSingleton<Draining>().AddHostedService(provider => provider.GetRequiredService<Draining>());
        services.AddHealthChecks().AddCheck<DrainingHealthCheck>("draining");
        services.AddOptions<HostOptions>().Configure<IOptions<OtpAuthOptions>>((host, options) => host.ShutdownTimeout = options.Value.DrainDelay + Draining.LongestEnd);
    }

    private static void Map(WebApplication app, bool embedded)
    {
        app.Use(Endpoints.KeepProbesApart);
        var deadlines = app.Services.GetRequiredService<CallDeadlines>();
        app.Use(next => context =>
        {
            deadlines.Clamp(context);
            return next(context);
        });

        app.MapGrpcService<OtpAuthGrpcService>();
        app.MapGrpcService<OtpOperationsGrpcService>();
        app.MapGrpcHealthChecksService();
        if (embedded)
        {
            app.MapGrpcReflectionService();
        }

        ForManagement(app.MapHealthChecks("/health/live", new HealthCheckOptions { Predicate = _ => false }));
        // Endpoints are opened once all is prepared: to be there is to have started.
        ForManagement(app.MapHealthChecks("/health/startup", new HealthCheckOptions { Predicate = _ => false }));
        ForManagement(app.MapHealthChecks("/health/ready"));
        ForManagement(app.MapPrometheusScrapingEndpoint("/metrics"));
    }

    /// <summary>Not for callers, whose endpoint speaks HTTP/2 only: metrics tell of all institutions.</summary>
    private static void ForManagement(IEndpointConventionBuilder endpoint) => endpoint.Add(built =>
    {
        var answer = built.RequestDelegate!;
        built.RequestDelegate = call =>
        {
            if (!HttpProtocol.IsHttp2(call.Request.Protocol))
            {
                return answer(call);
            }

            call.Response.StatusCode = StatusCodes.Status404NotFound;
            return Task.CompletedTask;
        };
    });
}
