using System.Security.Cryptography;

namespace OtpAuthService.Bench.Populations;

/// <summary>
/// Request ids, never twice, and in no order: as random as the contract asks for, since an index takes ordered ones more cheaply. A count,
/// mixed by a function that maps no two numbers to the same one (SplitMix64).
/// </summary>
internal static class RequestIds
{
    public const int Length = 32;

    private static readonly ulong Run = BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(sizeof(ulong)));

    private static ulong count;

    public static string Next() => string.Create(Length, Mix(Interlocked.Increment(ref count)), static (text, mixed) =>
    {
        mixed.TryFormat(text, out _, "x16");
        Run.TryFormat(text[16..], out _, "x16");
    });

    public static void WriteNext(Span<byte> target)
    {
        Mix(Interlocked.Increment(ref count)).TryFormat(target, out _, "x16");
        Run.TryFormat(target[16..], out _, "x16");
    }

    private static ulong Mix(ulong value)
    {
        value *= 0x9E3779B97F4A7C15;
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
        return value ^ (value >> 31);
    }
}
