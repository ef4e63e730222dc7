using System.Numerics;

namespace OtpAuthService.Bench.Measuring;

/// <summary>Counts of latencies in nanoseconds, in 128 steps per power of two: a percentile is off by less than 1 %.</summary>
internal sealed class LatencyHistogram
{
    private const int StepBits = 7;
    private const int Steps = 1 << StepBits;

    private readonly long[] counts = new long[(64 - StepBits) * Steps];

    public long Count { get; private set; }

    public void Add(long nanoseconds)
    {
        counts[BucketOf((ulong)nanoseconds)]++;
        Count++;
    }

    public void Add(LatencyHistogram other)
    {
        for (var i = 0; i < counts.Length; i++)
        {
            counts[i] += other.counts[i];
        }

        Count += other.Count;
    }

    /// <summary>The latency that this share of the calls did not exceed, in milliseconds.</summary>
    public double Percentile(double share)
    {
        var rank = (long)Math.Ceiling(share * Count);
        var seen = 0L;
        for (var bucket = 0; bucket < counts.Length; bucket++)
        {
            seen += counts[bucket];
            if (seen >= rank && seen > 0)
            {
                return MiddleOf(bucket) / 1e6;
            }
        }

        return double.NaN;
    }

    /// <summary>Below 128 ns a bucket each; above, the seven bits after the leading one choose the step.</summary>
    private static int BucketOf(ulong value)
    {
        if (value < Steps)
        {
            return (int)value;
        }

        var octave = BitOperations.Log2(value) - StepBits;
        return ((octave + 1) * Steps) + (int)((value >> octave) & (Steps - 1));
    }

    private static double MiddleOf(int bucket)
    {
        if (bucket < Steps)
        {
            return bucket;
        }

        var octave = (bucket / Steps) - 1;
        return ((double)((bucket % Steps) + Steps) + 0.5) * Math.Pow(2, octave);
    }
}
