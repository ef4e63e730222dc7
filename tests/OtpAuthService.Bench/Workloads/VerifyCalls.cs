using OtpAuthService.Bench.Populations;
using OtpAuthService.V1;

namespace OtpAuthService.Bench.Workloads;

/// <summary>
/// Verify calls with right OTPs only, or mixed: of twenty calls seventeen are right, two wrong and one is the OTP of a contractor that was
/// accepted just before, under a new request id. OTPs are computed before the calls, not while something is measured.
/// </summary>
/// <param name="population">Who calls.</param>
/// <param name="mixed">Whether wrong and replayed OTPs are among the calls.</param>
/// <param name="mostPerSecond">No server of this kind answers more.</param>
/// <param name="stores">What the server's stores are to forget.</param>
internal sealed class VerifyCalls(Population population, bool mixed, int mostPerSecond, Resets stores) : IWorkload
{
    /// <summary>Between the preparation and the first call, and between the machine's clock and a moment of ours.</summary>
    private static readonly TimeSpan Margin = TimeSpan.FromSeconds(2);

    private static ReadOnlySpan<byte> Institution => "bench"u8;

    private Planned[] planned = [];
    private int next = -1;

    /// <summary>A call of <see cref="planned"/> that was answered with ACCEPTED, or −1.</summary>
    private int accepted = -1;

    public async Task PrepareAsync(TimeSpan duration)
    {
        await stores.EmptyLogsAsync();
        var (first, last) = Steps(duration);
        var wanted = (long)(mostPerSecond * duration.TotalSeconds);
        if (population.CountRight(first, last) < wanted || (mixed && population.CountWrong() < wanted / 10))
        {
            await stores.ForgetUseAsync();
            population.Forget();
            (first, last) = Steps(duration);
        }

        var count = Math.Min(wanted, population.CountRight(first, last));
        planned = new Planned[count];
        for (var i = 0; i < planned.Length; i++)
        {
            planned[i] = Plan(i, first, last);
        }

        Parallel.For(0, planned.Length, i => planned[i].Otp = Otp(planned[i]));
        next = -1;
        accepted = -1;
    }

    public Call Next(Span<byte> message)
    {
        var index = Interlocked.Increment(ref next);
        if (index >= planned.Length)
        {
            throw new Client.LoadFailedException($"{planned.Length:N0} prepared calls were not enough: raise the rate that is expected at most, or load more credentials.");
        }

        var replayed = planned[index].Kind == CallKind.Replayed ? Volatile.Read(ref accepted) : -1;
        var call = replayed >= 0 ? planned[replayed] : planned[index];
        var expected = replayed >= 0 ? Outcome.AlreadyUsed : call.Kind == CallKind.Wrong ? Outcome.Mismatch : Outcome.Accepted;
        return new Call(Write(message, call), index, (int)expected);
    }

    public string? FindFault(Call call, ReadOnlySpan<byte> answer)
    {
        var (outcome, decision, repeated) = (Outcome.Unspecified, Decision.Unspecified, false);
        while (!answer.IsEmpty)
        {
            switch (WireFormat.TakeField(ref answer))
            {
                case (VerifyResponse.OutcomeFieldNumber, var value):
                    outcome = (Outcome)value;
                    break;
                case (VerifyResponse.DecisionFieldNumber, var value):
                    decision = (Decision)value;
                    break;
                case (VerifyResponse.RepeatedFieldNumber, var value):
                    repeated = value != 0;
                    break;
            }
        }

        var expected = (Outcome)call.Expected;
        if (outcome == Outcome.AlreadyUsed && expected == Outcome.Accepted && IsUsedByEqualDigits(planned[call.Index]))
        {
            return null;
        }

        if (outcome != expected || repeated || decision != (expected == Outcome.Accepted ? Decision.Allow : Decision.Deny))
        {
            return $"WRONG VERDICT: {outcome}, {decision}{(repeated ? ", repeated" : "")} where {expected} was due, for call {call.Index:N0} of {planned.Length:N0}.";
        }

        if (mixed && outcome == Outcome.Accepted)
        {
            Volatile.Write(ref accepted, call.Index);
        }

        return null;
    }

    /// <summary>
    /// About three contractors in a million show the same digits in two steps of one window. The first time the service claims the higher
    /// step, as it must: then that one is used, and the one between them with it.
    /// </summary>
    private bool IsUsedByEqualDigits(Planned call)
    {
        var (before, between, own, after) = (Otp(-2), Otp(-1), Otp(0), Otp(1));
        return before == own || between == own || between == after;

        uint Otp(int away) => population.Otp(call.Contractor, call.Step + away);
    }

    public void Release()
    {
        // Backwards: a contractor who is planned for two steps shows the lower one first again.
        for (var i = planned.Length - 1; i > next; i--)
        {
            if (planned[i].Kind != CallKind.Wrong)
            {
                population.GiveBackRight(planned[i].Contractor, planned[i].Step);
            }
        }

        planned = [];
    }

    /// <summary>
    /// The time steps whose OTPs are right throughout: the current and the next one, also where the period ends meanwhile; and the one
    /// before, where it does not.
    /// </summary>
    private static (long First, long Last) Steps(TimeSpan duration)
    {
        var now = TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds() / 1000.0;
        var step = (long)(now / Population.PeriodSeconds);
        var left = ((step + 1) * Population.PeriodSeconds) - now;
        return (left > (duration + Margin).TotalSeconds ? step - 1 : step, step + 1);
    }

    private Planned Plan(int position, long first, long last)
    {
        var kind = !mixed ? CallKind.Right : (position % 20) switch
        {
            5 or 15 => CallKind.Wrong,
            10 => CallKind.Replayed,
            _ => CallKind.Right,
        };
        // Where nothing was accepted yet that could be replayed, that call is a right one.
        var (contractor, step) = kind == CallKind.Wrong ? (population.TakeWrong(), last - 1) : population.TakeRight(first, last);
        return new Planned { Contractor = contractor, Step = step, Kind = kind };
    }

    private uint Otp(Planned call) =>
        call.Kind == CallKind.Wrong ? population.WrongOtp(call.Contractor, call.Step) : population.Otp(call.Contractor, call.Step);

    private static int Write(Span<byte> message, Planned call)
    {
        var rest = message;
        RequestIds.WriteNext(WireFormat.BeginText(ref rest, VerifyRequest.RequestIdFieldNumber, RequestIds.Length));
        Institution.CopyTo(WireFormat.BeginText(ref rest, VerifyRequest.InstitutionIdFieldNumber, Institution.Length));
        Population.WriteContractorId(
            WireFormat.BeginText(ref rest, VerifyRequest.ContractorIdFieldNumber, Population.ContractorIdLength), call.Contractor);
        rest = rest[WireFormat.WriteVarint(rest, VerifyRequest.ChannelFieldNumber, (uint)Channel.PcBrowser)..];
        rest = rest[WireFormat.WriteVarint(rest, VerifyRequest.PurposeFieldNumber, (uint)Purpose.Login)..];
        WireFormat.WriteDigits(WireFormat.BeginText(ref rest, VerifyRequest.OtpFieldNumber, Population.Digits), call.Otp);
        return message.Length - rest.Length;
    }

    private enum CallKind : byte
    {
        Right,
        Wrong,
        Replayed,
    }

    private struct Planned
    {
        public int Contractor;
        public long Step;
        public uint Otp;
        public CallKind Kind;
    }
}
