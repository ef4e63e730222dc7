namespace OtpAuthService.Bench.Measuring;

/// <summary>What one measurement gave: one scenario, one number of calls in flight, one round.</summary>
/// <param name="CallsPerSecond">Answered calls.</param>
/// <param name="P50">Latency in milliseconds.</param>
/// <param name="P99">Latency in milliseconds.</param>
/// <param name="P999">Latency in milliseconds.</param>
/// <param name="Cpu">Per call.</param>
/// <param name="AllocatedBytes">By the server, per call.</param>
/// <param name="Disturbance">Share of the machine's CPU time that went to what is not part of the measurement, or to other machines.</param>
internal sealed record Sample(
    double CallsPerSecond, double P50, double P99, double P999, CpuPerCall Cpu, double AllocatedBytes, double Disturbance);

/// <summary>CPU time per call in microseconds.</summary>
internal sealed record CpuPerCall(double Server, double Postgres, double Redis, double LoadGenerator)
{
    /// <summary>What a call costs; the load generator is not part of it.</summary>
    public double Total => Server + Postgres + Redis;
}
