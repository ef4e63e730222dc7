using OtpAuthService.Bench.Reporting;

namespace OtpAuthService.Bench.Measuring;

/// <summary>The interleaved run: every round measures each scenario once, so that a machine that changes its pace changes it for all.</summary>
internal sealed class Rounds(Meter meter, Plan plan, ProgressLine progress)
{
    public async Task<Measurements> RunAsync(IReadOnlyList<Scenario> scenarios, CancellationToken cancellation)
    {
        var measurements = new Measurements();
        var levels = scenarios.SelectMany(s => s.InFlight).Distinct().Order().ToList();
        var (done, all) = (0, plan.Rounds * scenarios.Sum(s => s.InFlight.Count));
        for (var round = 0; round < plan.Rounds; round++)
        {
            foreach (var inFlight in levels)
            {
                // Another one first in every round: nobody always runs after the same neighbour.
                foreach (var scenario in Rotate(scenarios.Where(s => s.InFlight.Contains(inFlight)).ToList(), round))
                {
                    cancellation.ThrowIfCancellationRequested();
                    progress.Show(++done, all, $"round {round + 1} of {plan.Rounds}: {scenario.Title}, {inFlight} in flight");
                    measurements.Add(scenario, inFlight, await meter.MeasureAsync(scenario, inFlight));
                }
            }
        }

        return measurements;
    }

    private static IEnumerable<Scenario> Rotate(List<Scenario> scenarios, int by) =>
        scenarios.Skip(by % scenarios.Count).Concat(scenarios.Take(by % scenarios.Count));
}
