using OtpAuthService.Bench.Client;
using OtpAuthService.Bench.Lab;
using OtpAuthService.Bench.Workloads;

namespace OtpAuthService.Bench.Measuring;

/// <summary>One thing that is measured: a server, what is called there, and at which numbers of calls in flight.</summary>
/// <param name="Key">Its name in the JSON document.</param>
/// <param name="Title">Its name in tables and plots.</param>
internal sealed record Scenario(string Key, string Title, MeasuredServer Server, string Method, IWorkload Workload, IReadOnlyList<int> InFlight)
{
    /// <summary>The plain endpoint unless said otherwise.</summary>
    public Endpoint Endpoint { get; init; } = Server.Plain;

    /// <summary>Measured in several short bursts instead of once: its credentials give OTPs for no longer.</summary>
    public bool InBursts { get; init; }

    /// <summary>Done before and after its measurement, such as stopping Redis and starting it again.</summary>
    public Func<Task>? Before { get; init; }

    public Func<Task>? After { get; init; }
}
