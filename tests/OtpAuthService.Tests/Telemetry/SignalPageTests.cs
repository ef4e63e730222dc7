using System.Diagnostics.Metrics;
using Microsoft.Extensions.DependencyInjection;
using OtpAuthService.Telemetry;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Telemetry;

/// <summary>The page of signals lists what the service has, and no more: nobody finds out by an alert that never fires that a metric is called otherwise.</summary>
[TestFixture]
public class SignalPageTests
{
    private CallersUnderTest callers = null!;
    private OtpService service = null!;

    private DateTimeOffset Now => service.Clock.GetUtcNow();

    [OneTimeSetUp]
    public async Task StartAsync()
    {
        var now = TimeProvider.System.GetUtcNow();
        callers = new CallersUnderTest(
            CallerRow.Frontend("front", "demo") with { NotAfter = now.AddDays(30) },
            CallerRow.Gateway("gateway", new GrantRow("demo", now.AddDays(-1), now.AddDays(60))));
        File.Copy(callers.Authority.WriteRevocationList(), callers.RevokedFile, overwrite: true);
        service = await OtpService.StartAsync(StoreKind.PostgresRedis, callers.Settings);
    }

    [OneTimeTearDown]
    public async Task StopAsync()
    {
        await service.DisposeAsync();
        callers.Dispose();
    }

    [Test]
    public void Page_HeldAgainstTheInstruments_ListsEachWithItsKindAndUnit()
    {
        var factory = service.Services.GetRequiredService<IMeterFactory>();
        var instruments = new List<string>();
        using var listener = new MeterListener();
        listener.InstrumentPublished = (instrument, _) =>
        {
            if (instrument.Meter.Name == Instruments.MeterName && instrument.Meter.Scope == factory)
            {
                instruments.Add($"{instrument.Name}: {KindOf(instrument)}");
            }
        };
        listener.Start();

        var listed = SignalPage.Metrics.Where(row => row.IsOurs).Select(row => $"{row.Name}: {row.Kind}");
        Assert.That(listed, Is.EquivalentTo(instruments));
    }

    [Test]
    public async Task Page_HeldAgainstWhatPrometheusReads_GivesEachNameAndItsLabels()
    {
        await PlayAsync();

        var read = (await service.ScrapeAsync()).GroupBy(series => series.Name)
            .ToDictionary(name => name.Key, name => name.SelectMany(series => series.Labels.Keys).Where(IsOfTheSignal).Distinct().Order().ToList());
        using (Assert.EnterMultipleScope())
        {
            foreach (var row in SignalPage.Metrics)
            {
                var name = row.Kind.StartsWith("histogram", StringComparison.Ordinal) ? row.InPrometheus + "_bucket" : row.InPrometheus;
                Assert.That(read.Keys, Does.Contain(name));
                if (row.IsOurs && read.TryGetValue(name, out var labels))
                {
                    Assert.That(labels, Is.EqualTo(row.Labels.Select(label => label.Replace('.', '_')).Order()), name);
                }
            }

            var ours = read.Keys.Where(name => name.StartsWith("otp_", StringComparison.Ordinal)).Select(SignalPage.WithoutSuffix).Distinct();
            Assert.That(ours, Is.SubsetOf(SignalPage.Metrics.Select(row => row.InPrometheus)), "each that is told is on the page");
        }
    }

    /// <summary>Something of each kind.</summary>
    private async Task PlayAsync()
    {
        using var front = callers.Connect(service, "front");
        using var gateway = callers.Connect(service, "gateway");
        var (contractor, token) = await service.RegisteredAsync();
        await front.Auth.VerifyAsync(contractor, token.At(Now));
        await front.Auth.VerifyAsync(contractor, token.At(Now));
        await gateway.Auth.VerifyAsync(contractor, "", channel: Channel.FeaturePhone);
        for (var guess = 0; guess < 5; guess++)
        {
            await front.Auth.VerifyAsync(contractor, token.WrongAt(Now));
        }

        await Refusal.OfAsync(async () => await gateway.Auth.VerifyAsync(contractor, token.At(Now)));
    }

    private static bool IsOfTheSignal(string label) => label is not "le" && !label.StartsWith("otel_", StringComparison.Ordinal);

    private static string KindOf(Instrument instrument)
    {
        var kind = instrument.GetType().Name.Split('`')[0] switch
        {
            "Counter" or "ObservableCounter" => "counter",
            "ObservableGauge" => "gauge",
            "Histogram" => "histogram",
            var other => other,
        };
        return instrument.Unit switch
        {
            "s" or "1" => $"{kind}, {instrument.Unit}",
            "{state}" => $"{kind}, 0 or 1",
            "{step}" => $"{kind}, steps",
            _ when kind == "histogram" => $"{kind}, {instrument.Unit!.Trim('{', '}')}s",
            _ => kind,
        };
    }
}

/// <summary>The tables of src/OtpAuthService/Telemetry/README.md.</summary>
internal static class SignalPage
{
    /// <param name="Name">The instrument's.</param>
    /// <param name="InPrometheus">What Prometheus calls it.</param>
    /// <param name="Kind">With its unit.</param>
    /// <param name="Labels">Of each series.</param>
    internal sealed record Row(string Name, string InPrometheus, string Kind, IReadOnlyList<string> Labels)
    {
        public bool IsOurs => !Name.StartsWith("db.", StringComparison.Ordinal);
    }

    public static IReadOnlyList<Row> Metrics { get; } =
    [
        .. File.ReadLines(RepositoryFolder.Of("src/OtpAuthService/Telemetry/README.md"))
            .Select(line => line.Split('|', StringSplitOptions.TrimEntries))
            .Where(cells => cells.Length == 7 && cells[1].StartsWith('`'))
            .Select(cells => new Row(cells[1].Trim('`'), cells[2].Trim('`'), cells[3], [.. cells[4].Split(',', StringSplitOptions.TrimEntries).Where(l => l.StartsWith('`')).Select(l => l.Trim('`'))])),
    ];

    public static string WithoutSuffix(string series) =>
        new[] { "_bucket", "_sum", "_count" }.FirstOrDefault(suffix => series.EndsWith(suffix, StringComparison.Ordinal)) is { } suffix ? series[..^suffix.Length] : series;
}
