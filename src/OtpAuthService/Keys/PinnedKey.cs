using System.Diagnostics;
using System.Security.Cryptography;

namespace OtpAuthService.Keys;

/// <summary>
/// A key in the clear: pinned, so that the collector leaves no copy behind, and zeroed when its last holder lets go. It begins with one
/// holder, who made it. It cannot print itself (promise P7).
/// </summary>
[DebuggerDisplay("(hidden)")]
internal sealed class PinnedKey(int length) : IDisposable
{
    private readonly byte[] bytes = GC.AllocateArray<byte>(length, pinned: true);
    private int holders = 1;

    // For a holder that an exception kept from letting go.
    ~PinnedKey() => CryptographicOperations.ZeroMemory(bytes);

    [DebuggerBrowsable(DebuggerBrowsableState.Never)]
    public Span<byte> Bytes => bytes;

    /// <summary>For asynchronous work. No property: a serialiser would print it.</summary>
    public Memory<byte> AsMemory() => bytes;

    /// <summary>One more holder.</summary>
    /// <returns>False where the last one has let go: there is no key any more.</returns>
    public bool TryHold()
    {
        var now = Volatile.Read(ref holders);
        while (now > 0)
        {
            var before = Interlocked.CompareExchange(ref holders, now + 1, now);
            if (before == now)
            {
                return true;
            }

            now = before;
        }

        return false;
    }

    /// <summary>A holder lets go; each does so once.</summary>
    public void Dispose()
    {
        if (Interlocked.Decrement(ref holders) == 0)
        {
            CryptographicOperations.ZeroMemory(bytes);
            GC.SuppressFinalize(this);
        }
    }

    public override string ToString() => "(hidden)";
}
