namespace OtpAuthService.Bench.Workloads;

/// <summary>Nothing in, nothing out: what gRPC itself costs.</summary>
internal sealed class EmptyCalls : IWorkload
{
    public Task PrepareAsync(TimeSpan duration) => Task.CompletedTask;

    public Call Next(Span<byte> message) => new(Length: 0);

    public string? FindFault(Call call, ReadOnlySpan<byte> answer) => answer.IsEmpty ? null : "A no-op was answered with something.";

    public void Release()
    {
    }
}
