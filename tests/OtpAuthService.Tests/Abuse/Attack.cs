namespace OtpAuthService.Tests.Abuse;

/// <summary>One kind of abuse.</summary>
/// <param name="Name">As commands and tests name it.</param>
/// <param name="What">What an attacker does.</param>
/// <param name="Connections">How many attackers there are, each with a connection that it opens again when it is cut off.</param>
/// <param name="PerSecond">How often each does it in a second; 0 where it only waits.</param>
/// <param name="Act">What one connection does until it is over or it is told to stop.</param>
/// <param name="Greets">Whether it begins with a proper preface.</param>
internal sealed record Attack(
    string Name, string What, int Connections, int PerSecond, Func<RawConnection, int, CancellationToken, Task> Act, bool Greets = true)
{
    /// <summary>Between the end of a connection and the next of the same attacker.</summary>
    private static readonly TimeSpan Breath = TimeSpan.FromSeconds(1);

    /// <summary>Between the first connections of two attackers: 500 in a second.</summary>
    private static readonly TimeSpan Stagger = TimeSpan.FromMilliseconds(2);

    /// <summary>Attacks until told to stop.</summary>
    public async Task RunAsync(Uri address, Reaction reaction, CancellationToken stop) =>
        await Task.WhenAll(Enumerable.Range(0, Connections).Select(n => AttackAgainAndAgainAsync(address, reaction, n * Stagger, stop)));

    /// <summary>One connection, until it is over.</summary>
    public async Task RunOnceAsync(Uri address, Reaction reaction, CancellationToken stop)
    {
        await using var connection = await RawConnection.OpenAsync(address, reaction);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(stop, connection.Over);
        if (Greets)
        {
            await connection.GreetAsync();
        }

        try
        {
            await Act(connection, PerSecond, either.Token);
            await Task.Delay(Timeout.Infinite, either.Token);
        }
        catch (OperationCanceledException) when (either.IsCancellationRequested)
        {
        }
    }

    public override string ToString() => Name;

    private async Task AttackAgainAndAgainAsync(Uri address, Reaction reaction, TimeSpan wait, CancellationToken stop)
    {
        await Task.Delay(wait, stop).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        while (!stop.IsCancellationRequested)
        {
            await RunOnceAsync(address, reaction, stop);
            await Task.Delay(Breath, stop).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }
}
