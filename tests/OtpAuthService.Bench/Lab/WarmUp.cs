using OtpAuthService.Bench.Measuring;
using OtpAuthService.Bench.Reporting;

namespace OtpAuthService.Bench.Lab;

/// <summary>Before anything is measured: the servers' code is compiled and optimised, and the product has seen each credential once.</summary>
internal static class WarmUp
{
    private const int InFlight = 128;

    /// <summary>A server that has compiled nothing yet gets little at first: the service answers within a second or not at all.</summary>
    private static readonly int[] First = [1, 8, 32];

    private static readonly TimeSpan BeginStretch = TimeSpan.FromSeconds(0.4);

    /// <summary>Enough OTPs for the fastest measurement, even where a slow server has not seen all of them.</summary>
    private const int FewestInRotation = 20_000;

    /// <summary>One preparation of OTPs; short against the time that they are right.</summary>
    private static readonly TimeSpan Stretch = TimeSpan.FromSeconds(2);

    /// <summary>A server is warm where its compiler takes less than this share of a core: a service that runs for weeks has it behind itself.</summary>
    private const double StillCompiling = 0.03;

    public static async Task RunAsync(TestBench bench, Plan plan, ProgressLine progress, CancellationToken cancellation)
    {
        foreach (var (scenario, population) in bench.Products)
        {
            progress.Show($"warming up: {scenario.Title}");
            var seen = await BeginAsync(scenario);
            var end = progress.Elapsed + plan.FirstSight;
            while (seen < population.RightCount && progress.Elapsed < end)
            {
                cancellation.ThrowIfCancellationRequested();
                progress.Show($"warming up: {scenario.Title}, {seen:N0} credentials seen");
                seen += await CallAsync(scenario, InFlight, StretchOf(scenario, plan));
            }

            await UntilCompiledAsync(scenario, InFlight, plan, progress, cancellation);

            population.Seen = (int)Math.Min(seen, population.RightCount);
            population.InRotation = Math.Max(population.Seen, Math.Min(FewestInRotation, population.RightCount));
        }

        // The rivals, and every way to call the product.
        var products = bench.Products.Select(product => product.Scenario).ToList();
        foreach (var scenario in bench.Scenarios.Where(s => !s.InBursts && s.Before is null && !products.Contains(s)))
        {
            cancellation.ThrowIfCancellationRequested();
            progress.Show($"warming up: {scenario.Title}");
            await BeginAsync(scenario);
            await UntilCompiledAsync(scenario, Math.Min(InFlight, scenario.InFlight.Max()), plan, progress, cancellation);
        }
    }

    private static async Task UntilCompiledAsync(Scenario scenario, int inFlight, Plan plan, ProgressLine progress, CancellationToken cancellation)
    {
        double share;
        var stretch = StretchOf(scenario, plan);
        var end = progress.Elapsed + plan.WarmUp;
        do
        {
            cancellation.ThrowIfCancellationRequested();
            var before = await scenario.Server.ReadCompilationSecondsAsync();
            await CallAsync(scenario, inFlight, stretch);
            share = (await scenario.Server.ReadCompilationSecondsAsync() - before) / stretch.TotalSeconds;
            progress.Show($"warming up: {scenario.Title}, compiler at {share:0%}");
        }
        while (share > StillCompiling && progress.Elapsed < end);
    }

    /// <summary>Few credentials have right OTPs for a burst only.</summary>
    private static TimeSpan StretchOf(Scenario scenario, Plan plan) => scenario.InBursts ? plan.Burst : Stretch;

    /// <returns>How many calls it made.</returns>
    private static async Task<long> BeginAsync(Scenario scenario)
    {
        var calls = 0L;
        foreach (var inFlight in First)
        {
            calls += await CallAsync(scenario, inFlight, BeginStretch);
        }

        return calls;
    }

    private static async Task<long> CallAsync(Scenario scenario, int inFlight, TimeSpan duration)
    {
        await scenario.Workload.PrepareAsync(duration);
        var calls = LoadRun.WarmUp(scenario.Endpoint, scenario.Method, scenario.Workload, inFlight, duration);
        scenario.Workload.Release();
        return calls;
    }
}
