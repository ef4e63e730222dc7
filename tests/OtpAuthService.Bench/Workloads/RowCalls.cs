using OtpAuthService.Bench.Populations;

namespace OtpAuthService.Bench.Workloads;

/// <summary>One row to write per call, in an order that visits all rows before any comes again.</summary>
/// <param name="rows">How many there are.</param>
/// <param name="emptyLogs">Empties what grows with every call.</param>
internal sealed class RowCalls(int rows, Func<Task> emptyLogs) : IWorkload
{
    private readonly Shuffle order = new(rows);
    private int last = -1;

    public Task PrepareAsync(TimeSpan duration) => emptyLogs();

    public Call Next(Span<byte> message)
    {
        var row = order.At((uint)Interlocked.Increment(ref last));
        return new Call(WireFormat.WriteVarint(message, WriteRequestId, (uint)row + 1), row);
    }

    public string? FindFault(Call call, ReadOnlySpan<byte> answer) =>
        answer.SequenceEqual(Written) ? null : $"Row {call.Index + 1} was not written.";

    public void Release()
    {
    }

    /// <summary>WriteRequest.id of rival.proto.</summary>
    private const int WriteRequestId = 1;

    /// <summary>WriteResponse.written = true.</summary>
    private static ReadOnlySpan<byte> Written => [0x08, 0x01];
}
