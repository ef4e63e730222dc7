using OtpAuthService.Bench.Lab;
using OtpAuthService.Bench.Reporting;
using OtpAuthService.Tests.Abuse;

namespace OtpAuthService.Bench.Abuse;

/// <summary>Attacks a server in one way after the other, and measures a well-behaved caller and the server before, meanwhile and after.</summary>
/// <param name="each">How long each of the three is measured.</param>
internal sealed class AbuseRun(MeasuredServer server, SteadyCaller caller, TimeSpan each, ProgressLine progress)
{
    /// <summary>What Kestrel and its timers take to clear away what the attack left behind; then it is as it was or it is not.</summary>
    private static readonly TimeSpan Clearing = TimeSpan.FromSeconds(20);

    public async Task<List<AbuseResult>> RunAsync(IReadOnlyList<Attack> attacks, CancellationToken cancellation)
    {
        var results = new List<AbuseResult>();
        foreach (var attack in attacks)
        {
            cancellation.ThrowIfCancellationRequested();
            progress.Show(results.Count + 1, attacks.Count, attack.Name);
            results.Add(await MeasureAsync(attack));
        }

        return results;
    }

    private async Task<AbuseResult> MeasureAsync(Attack attack)
    {
        await using var watch = ServerWatch.Begin(server);
        var before = await caller.MeasureAsync(each);
        var unhurt = ServerWatch.Read(server);

        var reaction = new Reaction();
        watch.ForgetPeak();
        using var stop = new CancellationTokenSource();
        var attacking = Task.Run(() => attack.RunAsync(server.Plain.Address, reaction, stop.Token));
        var during = await caller.MeasureAsync(each);
        await stop.CancelAsync();
        await attacking;

        await ClearedAsync(unhurt);
        var after = await caller.MeasureAsync(each);
        return new AbuseResult(attack, reaction, before, during, after, unhurt, watch.Peak, ServerWatch.Read(server));
    }

    private async Task ClearedAsync(ServerWatch.Reading unhurt)
    {
        for (var end = progress.Elapsed + Clearing; progress.Elapsed < end;)
        {
            var now = ServerWatch.Read(server);
            if (now.Connections <= unhurt.Connections && now.Resident <= unhurt.Resident + AbuseResult.MemoryBound)
            {
                return;
            }

            await Task.Delay(TimeSpan.FromMilliseconds(200));
        }
    }
}
