namespace OtpAuthService.Bench.Workloads;

/// <summary>How a server's stores are made to forget between measurements.</summary>
/// <param name="EmptyLogsAsync">Empties what grows with every call.</param>
/// <param name="ForgetUseAsync">Has no time step used and no failure counted.</param>
internal sealed record Resets(Func<Task> EmptyLogsAsync, Func<Task> ForgetUseAsync)
{
    public static Task Nothing() => Task.CompletedTask;
}
