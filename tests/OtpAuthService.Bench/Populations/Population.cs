using System.Buffers.Binary;
using System.Security.Cryptography;

namespace OtpAuthService.Bench.Populations;

/// <summary>
/// Contractors with one credential each, as the load generator knows them: their keys, which time step each has shown last, and how many
/// wrong OTPs were sent for it. The last tenth is kept for wrong OTPs.
/// </summary>
internal sealed class Population
{
    public const int KeySize = 20;
    public const int PeriodSeconds = 30;
    public const int Digits = 6;
    public const string Institution = "bench";

    /// <summary>Four in a row do not lock; see the product's guess budget.</summary>
    private const int WrongPerContractor = 4;

    private readonly byte[] keys;
    private readonly long[] shown;
    private readonly byte[] wrong;
    private readonly Shuffle rightOrder;
    private readonly Shuffle wrongOrder;
    private ulong nextRight;
    private ulong nextWrong;

    public Population(int count)
    {
        Count = count;
        RightCount = count - (count / 10);
        InRotation = RightCount;
        keys = RandomNumberGenerator.GetBytes(count * KeySize);
        shown = new long[count];
        wrong = new byte[count];
        rightOrder = new Shuffle(RightCount);
        wrongOrder = new Shuffle(count - RightCount);
        Forget();
    }

    public int Count { get; }

    /// <summary>Those that right OTPs are sent for.</summary>
    public int RightCount { get; }

    /// <summary>Those that the server was asked about before anything was measured.</summary>
    public int Seen { get; set; }

    /// <summary>As many of them take turns; fewer than all where there was no time to have the server see each once.</summary>
    public int InRotation { get; set; }

    public ReadOnlySpan<byte> Key(int index) => keys.AsSpan(index * KeySize, KeySize);

    /// <summary>契約者ID of one of them, as <see cref="WriteContractorId"/> writes it.</summary>
    public static string ContractorId(int index) => $"C{index:D8}";

    public static void WriteContractorId(Span<byte> target, int index)
    {
        target[0] = (byte)'C';
        Workloads.WireFormat.WriteDigits(target[1..], (uint)index);
    }

    public const int ContractorIdLength = 9;

    /// <summary>Nothing was shown or sent yet: the stores were reset.</summary>
    public void Forget()
    {
        Array.Fill(shown, -1);
        Array.Clear(wrong);
    }

    /// <summary>How many right OTPs the steps from first to last still give.</summary>
    public long CountRight(long first, long last)
    {
        var left = 0L;
        for (var i = 0UL; i < (ulong)InRotation; i++)
        {
            left += Math.Max(0, last - Math.Max(shown[rightOrder.At(i)], first - 1));
        }

        return left;
    }

    public long CountWrong()
    {
        var left = 0L;
        for (var i = RightCount; i < Count; i++)
        {
            left += WrongPerContractor - wrong[i];
        }

        return left;
    }

    /// <summary>The next contractor's lowest step that was not shown yet, and its OTP. There must be one left.</summary>
    public (int Index, long Step) TakeRight(long first, long last)
    {
        while (true)
        {
            var index = rightOrder.At(nextRight++ % (ulong)InRotation);
            var step = Math.Max(shown[index] + 1, first);
            if (step <= last)
            {
                shown[index] = step;
                return (index, step);
            }
        }
    }

    /// <summary>It was not sent after all; given back in reverse order, it comes next again.</summary>
    public void GiveBackRight(int index, long step)
    {
        shown[index] = step - 1;
        nextRight--;
    }

    /// <summary>A contractor who may send another wrong OTP. There must be one left.</summary>
    public int TakeWrong()
    {
        while (true)
        {
            var index = RightCount + wrongOrder.At(nextWrong++);
            if (wrong[index] < WrongPerContractor)
            {
                wrong[index]++;
                return index;
            }
        }
    }

    /// <summary>RFC 6238 with HMAC-SHA-1, written anew: what the servers compute is not checked against their own code.</summary>
    public uint Otp(int index, long step)
    {
        Span<byte> counter = stackalloc byte[sizeof(long)];
        Span<byte> hmac = stackalloc byte[HMACSHA1.HashSizeInBytes];
        BinaryPrimitives.WriteInt64BigEndian(counter, step);
#pragma warning disable CA5350 // RFC 6238's default.
        HMACSHA1.HashData(Key(index), counter, hmac);
#pragma warning restore CA5350
        return (BinaryPrimitives.ReadUInt32BigEndian(hmac[(hmac[^1] & 15)..]) & int.MaxValue) % 1_000_000;
    }

    /// <summary>Digits that no step near this one shows.</summary>
    public uint WrongOtp(int index, long step)
    {
        var near = Enumerable.Range(-3, 7).Select(steps => Otp(index, step + steps)).ToList();
        var otp = near[0];
        while (near.Contains(otp))
        {
            otp = (otp + 1) % 1_000_000;
        }

        return otp;
    }
}
