using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Security.Cryptography;

namespace OtpAuthService.Verification;

/// <summary>
/// HMAC-SHA-1 (RFC 2104, FIPS 180-4 section 6.1) of four counters under one key at once, each in a lane of a vector: HOTP's HMACs of a whole
/// acceptance window. The library looks its algorithm up and keys it again for each of them, which was a quarter of the server's time
/// per Verify; the arithmetic itself is little. It has no branch and no look-up, so the time taken tells nothing about key or counter.
/// The tests hold it against the library, RFC 4226, RFC 6238 and Otp.NET.
/// </summary>
internal static class CounterHmacSha1
{
    /// <summary>Counters at once.</summary>
    public const int Counters = 4;

    /// <summary>Bytes a key may have at most: one block. RFC 2104 hashes longer ones first, and no credential has one.</summary>
    public const int LongestKey = BlockSize;

    private const int BlockSize = 64;
    private const int WordsOfBlock = BlockSize / sizeof(uint);
    private const int Rounds = 80;
    private const int WordsOfHash = SHA1.HashSizeInBytes / sizeof(uint);

    /// <summary>Computes the HMACs of <paramref name="first"/> and the three counters after it, as eight big-endian bytes each.</summary>
    /// <param name="key">At most <see cref="LongestKey"/> bytes.</param>
    /// <param name="first">The first counter.</param>
    /// <param name="hmacs">Takes the HMACs, one after the other: four times 20 bytes.</param>
    public static void Compute(ReadOnlySpan<byte> key, long first, Span<byte> hmacs)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(key.Length, LongestKey);
        Span<byte> padded = stackalloc byte[BlockSize];
        Span<Vector128<uint>> words = stackalloc Vector128<uint>[Rounds];
        Span<Vector128<uint>> keys = stackalloc Vector128<uint>[WordsOfHash];
        Span<Vector128<uint>> hash = stackalloc Vector128<uint>[WordsOfHash];
        try
        {
            // The inner key in the first lane, the outer one in the second.
            key.CopyTo(padded);
            for (var i = 0; i < WordsOfBlock; i++)
            {
                var word = BinaryPrimitives.ReadUInt32BigEndian(padded[(i * sizeof(uint))..]);
                words[i] = Vector128.Create(word ^ 0x36363636, word ^ 0x5c5c5c5c, 0, 0);
            }

            keys[0] = Vector128.Create(0x67452301u);
            keys[1] = Vector128.Create(0xefcdab89u);
            keys[2] = Vector128.Create(0x98badcfeu);
            keys[3] = Vector128.Create(0x10325476u);
            keys[4] = Vector128.Create(0xc3d2e1f0u);
            Compress(keys, words);

            var counters = Vector256.Create(first) + Vector256.Create(0L, 1L, 2L, 3L);
            Fill(words[..WordsOfBlock], [LowHalves(Vector256.ShiftRightLogical(counters, 32)), LowHalves(counters)]);
            Start(hash, keys, lane: 0);
            Compress(hash, words);

            Fill(words[..WordsOfBlock], hash);
            Start(hash, keys, lane: 1);
            Compress(hash, words);

            for (var lane = 0; lane < Counters; lane++)
            {
                Write(hash, lane, hmacs[(lane * SHA1.HashSizeInBytes)..]);
            }
        }
        finally
        {
            CryptographicOperations.ZeroMemory(padded);
            CryptographicOperations.ZeroMemory(MemoryMarshal.AsBytes(words));
            CryptographicOperations.ZeroMemory(MemoryMarshal.AsBytes(keys));
            CryptographicOperations.ZeroMemory(MemoryMarshal.AsBytes(hash));
        }
    }

    /// <summary>Puts a short message into the second block of a hash: its end, and how many bits both blocks hold.</summary>
    private static void Fill(Span<Vector128<uint>> block, ReadOnlySpan<Vector128<uint>> message)
    {
        block.Clear();
        message.CopyTo(block);
        block[message.Length] = Vector128.Create(0x80000000);
        block[^1] = Vector128.Create((uint)(BlockSize + (message.Length * sizeof(uint))) * 8);
    }

    /// <summary>Has all lanes go on from where one of the keys was hashed.</summary>
    private static void Start(Span<Vector128<uint>> hash, ReadOnlySpan<Vector128<uint>> keys, int lane)
    {
        for (var i = 0; i < hash.Length; i++)
        {
            hash[i] = Vector128.Create(keys[i][lane]);
        }
    }

    /// <summary>SHA-1's compression function, in each lane on its own.</summary>
    /// <param name="hash">What comes of it is added.</param>
    /// <param name="words">The block, and room for what it is stretched to.</param>
    private static void Compress(Span<Vector128<uint>> hash, Span<Vector128<uint>> words)
    {
        for (var t = WordsOfBlock; t < words.Length; t++)
        {
            words[t] = Rotate(words[t - 3] ^ words[t - 8] ^ words[t - 14] ^ words[t - 16], 1);
        }

        var (a, b, c, d, e) = (hash[0], hash[1], hash[2], hash[3], hash[4]);
        foreach (var word in words[..20])
        {
            Round(Vector128.ConditionalSelect(b, c, d), 0x5a827999, word);
        }

        foreach (var word in words[20..40])
        {
            Round(b ^ c ^ d, 0x6ed9eba1, word);
        }

        foreach (var word in words[40..60])
        {
            Round(Vector128.ConditionalSelect(b ^ c, d, c), 0x8f1bbcdc, word);
        }

        foreach (var word in words[60..80])
        {
            Round(b ^ c ^ d, 0xca62c1d6, word);
        }

        hash[0] += a;
        hash[1] += b;
        hash[2] += c;
        hash[3] += d;
        hash[4] += e;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        void Round(Vector128<uint> mixed, uint constant, Vector128<uint> word) =>
            (a, b, c, d, e) = (Rotate(a, 5) + mixed + e + Vector128.Create(constant) + word, a, Rotate(b, 30), c, d);
    }

    private static void Write(ReadOnlySpan<Vector128<uint>> hash, int lane, Span<byte> destination)
    {
        for (var i = 0; i < hash.Length; i++)
        {
            BinaryPrimitives.WriteUInt32BigEndian(destination[(i * sizeof(uint))..], hash[i][lane]);
        }
    }

    private static Vector128<uint> LowHalves(Vector256<long> words) =>
        Vector128.Narrow(words.GetLower().AsUInt64(), words.GetUpper().AsUInt64());

    private static Vector128<uint> Rotate(Vector128<uint> word, int bits) =>
        Vector128.ShiftLeft(word, bits) | Vector128.ShiftRightLogical(word, 32 - bits);
}
