namespace OtpAuthService.Bench.Workloads;

/// <summary>What a scenario calls, and what must be answered. Used by several connections at once.</summary>
internal interface IWorkload
{
    /// <summary>Makes ready what the coming calls need, before anything is measured.</summary>
    /// <param name="duration">How long calls will be made.</param>
    Task PrepareAsync(TimeSpan duration);

    /// <summary>Writes the next request's message.</summary>
    Call Next(Span<byte> message);

    /// <summary>What is wrong with an answer, or null.</summary>
    string? FindFault(Call call, ReadOnlySpan<byte> answer);

    /// <summary>After the last call: what was made ready and not used is given back.</summary>
    void Release();
}

/// <summary>A call under way.</summary>
/// <param name="Length">Bytes of its message.</param>
/// <param name="Index">What it is about, as the workload counts.</param>
/// <param name="Expected">The answer it must get, as the workload numbers them.</param>
internal readonly record struct Call(int Length, int Index = 0, int Expected = 0);
