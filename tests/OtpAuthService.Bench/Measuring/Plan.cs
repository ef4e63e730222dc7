namespace OtpAuthService.Bench.Measuring;

/// <summary>How much is measured: long enough to trust, or short enough to wait for.</summary>
internal sealed record Plan
{
    public required string Name { get; init; }

    /// <summary>Each round measures every scenario once at each of its numbers of calls in flight.</summary>
    public required int Rounds { get; init; }

    /// <summary>Calls in flight of the scenarios that the ratios rest on.</summary>
    public required IReadOnlyList<int> InFlight { get; init; }

    /// <summary>Calls in flight of those that no ratio at fewer calls rests on.</summary>
    public required IReadOnlyList<int> SideInFlight { get; init; }

    /// <summary>Calls before anything is counted.</summary>
    public TimeSpan LeadIn { get; init; } = TimeSpan.FromSeconds(0.25);

    /// <summary>How long calls are counted.</summary>
    public required TimeSpan Counted { get; init; }

    /// <summary>With 10,000 credentials there are right OTPs for a second at most: then several short measurements make one.</summary>
    public TimeSpan Burst { get; init; } = TimeSpan.FromSeconds(0.5);

    public int Bursts { get; init; } = 3;

    /// <summary>For the compiler to have optimised what is measured: at most so long per server, and no longer than it has work.</summary>
    public required TimeSpan WarmUp { get; init; }

    /// <summary>For the product to have seen each credential once; those it has not seen by then are not used.</summary>
    public required TimeSpan FirstSight { get; init; }

    public static Plan Full { get; } = new()
    {
        Name = "full",
        Rounds = 5,
        InFlight = [1, 8, 32, 128, 256],
        SideInFlight = [1, 8, 32, 128, 256],
        Counted = TimeSpan.FromSeconds(3),
        WarmUp = TimeSpan.FromSeconds(40),
        FirstSight = TimeSpan.FromSeconds(120),
    };

    public static Plan Quick { get; } = new()
    {
        Name = "quick",
        Rounds = 3,
        InFlight = [1, 32, 128],
        SideInFlight = [128],
        Counted = TimeSpan.FromSeconds(0.8),
        WarmUp = TimeSpan.FromSeconds(4),
        FirstSight = TimeSpan.FromSeconds(3),
    };
}
