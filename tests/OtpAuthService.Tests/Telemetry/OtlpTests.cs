using System.Collections.Concurrent;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using OtpAuthService.Tests.Fixtures;

namespace OtpAuthService.Tests.Telemetry;

/// <summary>By the standard settings alone, all three signals leave by OTLP; what they hold is looked through for secrets (promise P7).</summary>
[TestFixture]
public class OtlpTests
{
    [Test]
    public async Task Signals_WithACollectorSet_AllArriveThereWithoutSecrets()
    {
        var received = new ConcurrentDictionary<string, ConcurrentQueue<byte[]>>();
        await using var collector = await StartCollectorAsync(received);
        using var stores = await StoresUnderTest.CreateAsync(StoreKind.Sqlite);
        await using var service = await ServiceProcess.StartAsync(
            stores,
            $"--OTEL_EXPORTER_OTLP_ENDPOINT={collector.Urls.Single()}",
            "--OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
            "--OTEL_METRIC_EXPORT_INTERVAL=500",
            "--OTEL_BSP_SCHEDULE_DELAY=200",
            "--OTEL_BLRP_SCHEDULE_DELAY=200");
        var token = await service.Operations.IssueAsync();
        var now = TimeProvider.System.GetUtcNow();
        var contractor = $"OTLP-{Guid.NewGuid():N}";
        await service.Auth.RegisterAsync(contractor, token.CredentialId, token.At(now));

        await Eventually.IsTrueAsync(
            () => Task.FromResult(Has("/v1/metrics", "otp.decisions") && Has("/v1/traces", "otpauth.v1.OtpAuth/Register") && Has("/v1/logs", "otp-auth-service")), "all three have arrived");
        foreach (var secret in new[] { contractor, token.CredentialId, token.At(now) })
        {
            Assert.That(received.Keys.Where(path => Has(path, secret)), Is.Empty, secret);
        }

        bool Has(string path, string text) => received.TryGetValue(path, out var bodies) && bodies.Any(body => System.Text.Encoding.Latin1.GetString(body).Contains(text, StringComparison.OrdinalIgnoreCase));
    }

    /// <summary>Keeps what is posted to it, as any OTLP collector takes it.</summary>
    private static async Task<WebApplication> StartCollectorAsync(ConcurrentDictionary<string, ConcurrentQueue<byte[]>> received)
    {
        var builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseKestrelCore().UseUrls("http://127.0.0.1:0");
        var collector = builder.Build();
        collector.Run(async call =>
        {
            using var body = new MemoryStream();
            await call.Request.Body.CopyToAsync(body);
            received.GetOrAdd($"{call.Request.Path}", _ => new()).Enqueue(body.ToArray());
            call.Response.ContentType = "application/x-protobuf";
        });
        await collector.StartAsync();
        return collector;
    }
}
