using System.Buffers.Binary;
using System.Security.Cryptography;
using OtpAuthService.Verification;

namespace OtpAuthService.Tests.Verification;

[TestFixture]
public class CounterHmacSha1Tests
{
    private static readonly long[] Firsts = [0, 1, 55_555_555, uint.MaxValue - 1L, uint.MaxValue, 1L << 32, long.MaxValue - 3];

    [Test]
    public void Compute_AnyLengthOfKey_AgreesWithTheLibrary([Range(0, CounterHmacSha1.LongestKey)] int length)
    {
        var random = new Random(length);
        foreach (var first in Firsts)
        {
            var key = new byte[length];
            random.NextBytes(key);
            Assert.That(Compute(key, first), Is.EqualTo(FromTheLibrary(key, first)), $"from {first}");
        }
    }

    [TestCase(0x00)]
    [TestCase(0xFF)]
    public void Compute_KeyOfEqualBits_AgreesWithTheLibrary(byte bits)
    {
        var key = Enumerable.Repeat(bits, CounterHmacSha1.LongestKey).ToArray();
        Assert.That(Compute(key, 0), Is.EqualTo(FromTheLibrary(key, 0)));
    }

    [Test]
    public void Compute_KeyLongerThanABlock_IsRefused() =>
        Assert.That(() => Compute(new byte[CounterHmacSha1.LongestKey + 1], 0), Throws.InstanceOf<ArgumentOutOfRangeException>());

    private static byte[] Compute(byte[] key, long first)
    {
        var hmacs = new byte[CounterHmacSha1.Counters * SHA1.HashSizeInBytes];
        CounterHmacSha1.Compute(key, first, hmacs);
        return hmacs;
    }

    private static byte[] FromTheLibrary(byte[] key, long first) =>
    [
        .. Enumerable.Range(0, CounterHmacSha1.Counters).SelectMany(i =>
        {
            var counter = new byte[sizeof(long)];
            BinaryPrimitives.WriteInt64BigEndian(counter, first + i);
#pragma warning disable CA5350 // The oracle.
            return HMACSHA1.HashData(key, counter);
#pragma warning restore CA5350
        }),
    ];
}
