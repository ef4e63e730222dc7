using System.Numerics;

namespace OtpAuthService.Bench.Populations;

/// <summary>
/// An order of 0 to count−1 that visits each once per turn and looks like chance: neighbours in time are not neighbours in the table, as with
/// real customers. A multiplication by a number that has no factor in common with the count; nothing to store.
/// </summary>
internal sealed class Shuffle
{
    private readonly ulong count;
    private readonly ulong factor;

    public Shuffle(int count)
    {
        this.count = (ulong)count;
        // Near the golden section, which spreads most evenly.
        factor = (ulong)(count * 0.6180339887) | 1;
        while (BigInteger.GreatestCommonDivisor(factor, this.count) != 1)
        {
            factor += 2;
        }
    }

    public int At(ulong position) => (int)(position % count * factor % count);
}
