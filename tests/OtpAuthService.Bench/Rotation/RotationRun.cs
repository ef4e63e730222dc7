using System.Diagnostics;
using OtpAuthService.Bench.Client;
using OtpAuthService.Bench.Measuring;
using OtpAuthService.Bench.Reporting;

namespace OtpAuthService.Bench.Rotation;

/// <summary>Verify under load while a rotation brings all credentials under a new data key, beside the same load without it.</summary>
internal sealed class RotationRun(RotationLab lab, ProgressLine progress)
{
    public const int InFlight = 32;

    private const string Verify = "/otpauth.v1.OtpAuth/Verify";
    private const int Phases = 5;
    private const int Pairs = 10;

    /// <summary>Before each phase is counted: the background sees within a second that it is its turn, or is not.</summary>
    private static readonly TimeSpan LeadIn = TimeSpan.FromSeconds(1.25);

    private static readonly TimeSpan Counted = TimeSpan.FromSeconds(2.5);

    private static readonly TimeSpan Stretch = TimeSpan.FromSeconds(2);

    /// <summary>For the compiler to have seen the calls, and the service the credentials.</summary>
    private static readonly TimeSpan WarmUp = TimeSpan.FromSeconds(16);

    /// <summary>A rotation that has not ended by then does not end.</summary>
    private static readonly TimeSpan LongestRest = TimeSpan.FromMinutes(4);

    public async Task<RotationResult> RunAsync(CancellationToken cancellation)
    {
        await WarmUpAsync(cancellation);
        var before = await MeasureAsync("before", Phases, cancellation);
        await lab.PauseRewrappingAsync();
        await lab.RotateAsync();
        var (paused, during, rewrapped) = await MeasurePairsAsync(cancellation);

        progress.Show("killing the server");
        var left = await lab.CountLeftAsync();
        lab.KillServer();
        var found = await lab.CountLeftAsync();
        if (left == 0)
        {
            throw new LoadFailedException("The rotation was over before the server was killed.");
        }

        await lab.StartServerAsync();
        var alone = await FinishAsync(cancellation);
        await WarmUpAsync(cancellation);
        var after = await MeasureAsync("after", Phases, cancellation);
        return new RotationResult(before, paused, during, after, rewrapped, found, alone);
    }

    private async Task WarmUpAsync(CancellationToken cancellation)
    {
        int[] first = [1, 8];
        var end = progress.Elapsed + WarmUp;
        for (var i = 0; progress.Elapsed < end; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            progress.Show("warming up");
            await lab.Calls.PrepareAsync(Stretch);
            LoadRun.WarmUp(lab.Server.Plain, Verify, lab.Calls, i < first.Length ? first[i] : InFlight, Stretch);
            lab.Calls.Release();
        }
    }

    private async Task<List<LoadResult>> MeasureAsync(string name, int phases, CancellationToken cancellation)
    {
        var measured = new List<LoadResult>();
        for (var i = 0; i < phases; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            progress.Show(i + 1, phases, name);
            measured.Add(await MeasureAsync());
        }

        return measured;
    }

    /// <summary>With and without in turn, so that what else the machine does falls on both.</summary>
    private async Task<(List<LoadResult> Paused, List<LoadResult> During, List<double> Rewrapped)> MeasurePairsAsync(CancellationToken cancellation)
    {
        var (paused, during, rewrapped) = (new List<LoadResult>(), new List<LoadResult>(), new List<double>());
        for (var i = 0; i < Pairs && await lab.CountLeftAsync() > 0; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            progress.Show(i + 1, Pairs, "during: paused, then re-wrapping");
            paused.Add(await MeasureAsync());
            var leftBefore = await lab.CountLeftAsync();
            await lab.ResumeRewrappingAsync();
            var began = Stopwatch.GetTimestamp();
            during.Add(await MeasureAsync());
            await lab.PauseRewrappingAsync();
            rewrapped.Add((leftBefore - await lab.CountLeftAsync()) / Stopwatch.GetElapsedTime(began).TotalSeconds);
        }

        await lab.ResumeRewrappingAsync();
        return (paused, during, rewrapped);
    }

    private async Task<LoadResult> MeasureAsync()
    {
        await lab.Calls.PrepareAsync(LeadIn + Counted);
        var result = LoadRun.Run(lab.Server.Plain, Verify, lab.Calls, InFlight, LeadIn, Counted);
        lab.Calls.Release();
        return result;
    }

    /// <returns>Re-wrapped per second without load.</returns>
    private async Task<double> FinishAsync(CancellationToken cancellation)
    {
        var (left, began) = (await lab.CountLeftAsync(), Stopwatch.GetTimestamp());
        for (var now = left; now > 0; now = await lab.CountLeftAsync())
        {
            progress.Show($"the server that was killed goes on: {now:N0} left");
            if (Stopwatch.GetElapsedTime(began) > LongestRest)
            {
                throw new LoadFailedException($"The rotation does not end: {now:N0} are left.");
            }

            await Task.Delay(TimeSpan.FromSeconds(1), cancellation);
        }

        return left / Stopwatch.GetElapsedTime(began).TotalSeconds;
    }
}
