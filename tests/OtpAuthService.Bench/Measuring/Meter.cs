using OtpAuthService.Bench.Client;
using OtpAuthService.Bench.Lab;
using OtpAuthService.Tests.Fixtures;

namespace OtpAuthService.Bench.Measuring;

/// <summary>
/// Runs one scenario and reads what it took. CPU and allocations are read while nothing is called, before the first and after the last
/// call, and divided by all calls in between.
/// </summary>
internal sealed class Meter(PostgresServer postgres, RedisServer redis, Plan plan)
{
    /// <summary>What a server still does after its last answer belongs to that answer.</summary>
    private static readonly TimeSpan Settling = TimeSpan.FromMilliseconds(20);

    public async Task<Sample> MeasureAsync(Scenario scenario, int inFlight)
    {
        if (scenario.Before is { } before)
        {
            await before();
        }

        try
        {
            return await MeasureNowAsync(scenario, inFlight);
        }
        finally
        {
            if (scenario.After is { } after)
            {
                await after();
            }
        }
    }

    private async Task<Sample> MeasureNowAsync(Scenario scenario, int inFlight)
    {
        var (bursts, counted) = scenario.InBursts ? (plan.Bursts, plan.Burst) : (1, plan.Counted);
        var latencies = new LatencyHistogram();
        var used = default(Reading);
        var (calls, seconds) = (0L, 0.0);
        for (var i = 0; i < bursts; i++)
        {
            await scenario.Workload.PrepareAsync(plan.LeadIn + counted);
            var start = await ReadAsync(scenario.Server);
            var result = LoadRun.Run(scenario.Endpoint, scenario.Method, scenario.Workload, inFlight, plan.LeadIn, counted);
            await Task.Delay(Settling);
            used += await ReadAsync(scenario.Server) - start;
            scenario.Workload.Release();
            latencies.Add(result.Latencies);
            calls += result.Calls;
            seconds += result.Counted.TotalSeconds;
        }

        if (latencies.Count == 0)
        {
            throw new LoadFailedException($"{scenario.Title}, {inFlight} in flight: no call ended while calls were counted.");
        }

        return new Sample(
            latencies.Count / seconds,
            latencies.Percentile(0.5),
            latencies.Percentile(0.99),
            latencies.Percentile(0.999),
            new CpuPerCall(used.Server / calls * 1e6, used.Postgres / calls * 1e6, used.Redis / calls * 1e6, used.LoadGenerator / calls * 1e6),
            used.Allocated / calls,
            used.Disturbance);
    }

    private async Task<Reading> ReadAsync(MeasuredServer server)
    {
        // First: it costs the server a little itself.
        var allocated = await server.ReadAllocatedBytesAsync();
        var (busy, stolen, all) = ProcessTime.SecondsOfMachine();
        return new Reading(
            ProcessTime.Seconds(server.ProcessId),
            ProcessTime.SecondsWithChildren(postgres.ProcessId),
            redis.ProcessId is { } running ? ProcessTime.Seconds(running) : 0,
            ProcessTime.Seconds(Environment.ProcessId),
            allocated,
            busy + stolen,
            all);
    }

    /// <summary>Seconds of CPU and bytes, since the processes began.</summary>
    private readonly record struct Reading(double Server, double Postgres, double Redis, double LoadGenerator, double Allocated, double Busy, double All)
    {
        public double Disturbance => Math.Max(0, (Busy - Server - Postgres - Redis - LoadGenerator) / All);

        public static Reading operator +(Reading a, Reading b) => new(
            a.Server + b.Server, a.Postgres + b.Postgres, a.Redis + b.Redis, a.LoadGenerator + b.LoadGenerator, a.Allocated + b.Allocated,
            a.Busy + b.Busy, a.All + b.All);

        public static Reading operator -(Reading a, Reading b) => new(
            a.Server - b.Server, a.Postgres - b.Postgres, a.Redis - b.Redis, a.LoadGenerator - b.LoadGenerator, a.Allocated - b.Allocated,
            a.Busy - b.Busy, a.All - b.All);
    }
}
