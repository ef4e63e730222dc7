using OtpAuthService.Bench.Measuring;

namespace OtpAuthService.Bench.Reporting;

/// <summary>
/// What the service is judged by. Each ratio compares samples of the same round, and the median over the rounds is reported: a machine that
/// was slow for one round was slow for both sides.
/// </summary>
internal static class Ratios
{
    public static IReadOnlyList<Ratio> Of(Measurements measured)
    {
        return
        [
            AtLeast(0.20, "verify_over_noop_128", "throughput of Verify over no-op, 128 in flight", Throughput("verify", "noop", 128)),
            AtLeast(16, "verify_over_naive_128", "throughput of Verify over the naive design, 128 in flight", Throughput("verify", "naive", 128)),
            AtLeast(9, "verify_over_naive_32", "the same, 32 in flight", Throughput("verify", "naive", 32)),
            AtLeast(0.85, "verify_over_batched_write_128", "throughput of Verify over the batched write, 128 in flight", Throughput("verify", "batched_write", 128)),
            AtMost(6, "cpu_verify_over_noop_128", "CPU of server, PostgreSQL and Redis per Verify over no-op, 128 in flight", Compare("verify", "noop", 128, s => s.Cpu.Total)),
            AtMost(1.3, "p99_verify_over_batched_write_32", "p99 of Verify over the batched write, 32 in flight", Compare("verify", "batched_write", 32, s => s.P99)),
            AtMost(1.1, "p50_lone_verify_over_single_update", "p50 of a lone Verify over a lone UPDATE", Compare("verify", "single_update", 1, s => s.P50)),
            AtLeast(0.8, "redis_gone_throughput", "throughput of Verify without Redis over with it, 128 in flight", Throughput("verify_redis_gone", "verify", 128)),
            AtMost(1.5, "redis_gone_p99", "p99 of Verify without Redis over with it, 128 in flight", Compare("verify_redis_gone", "verify", 128, s => s.P99)),
            AtLeast(0.85, "one_million_over_ten_thousand", "throughput with 1,000,000 credentials over 10,000, 128 in flight", Throughput("verify_1m", "verify_10k", 128)),
            Shown("verify_over_bare_grpc_128", "throughput of Verify over gRPC with nothing in it, 128 in flight", Throughput("verify", "bare_grpc", 128)),
            Shown("cpu_verify_over_bare_grpc_128", "CPU per Verify over gRPC with nothing in it, 128 in flight", Compare("verify", "bare_grpc", 128, s => s.Cpu.Total)),
            AtMost(4096, "alloc_bytes_per_verify", "bytes allocated by the server per Verify, 128 in flight", measured.Find("verify", 128)?.Samples.Select(s => s.AllocatedBytes)),
        ];

        IEnumerable<double>? Throughput(string ours, string theirs, int inFlight) => Compare(ours, theirs, inFlight, s => s.CallsPerSecond);

        IEnumerable<double>? Compare(string ours, string theirs, int inFlight, Func<Sample, double> value) =>
            (measured.Find(ours, inFlight), measured.Find(theirs, inFlight)) is ({ } a, { } b)
                ? a.Samples.Zip(b.Samples, (x, y) => value(x) / value(y))
                : null;
    }

    private static Ratio AtLeast(double goal, string name, string meaning, IEnumerable<double>? values) =>
        Ratio.Of(name, meaning, $"≥ {goal}", values, value => value >= goal);

    private static Ratio Shown(string name, string meaning, IEnumerable<double>? values) => Ratio.Of(name, meaning, "", values, _ => true);

    private static Ratio AtMost(double goal, string name, string meaning, IEnumerable<double>? values) =>
        Ratio.Of(name, meaning, $"≤ {goal}", values, value => value <= goal);
}

/// <param name="Name">In the JSON document.</param>
/// <param name="Value">Median over the rounds; null where one side was not measured.</param>
internal sealed record Ratio(string Name, string Meaning, string Goal, double? Value, double? Least, double? Most, bool Met)
{
    public static Ratio Of(string name, string meaning, string goal, IEnumerable<double>? values, Func<double, bool> met)
    {
        if (values?.ToList() is not { Count: > 0 } all)
        {
            return new Ratio(name, meaning, goal, null, null, null, Met: false);
        }

        var median = Statistics.Median(all);
        return new Ratio(name, meaning, goal, median, all.Min(), all.Max(), met(median));
    }
}
