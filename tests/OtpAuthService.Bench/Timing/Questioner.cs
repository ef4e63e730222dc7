using System.Diagnostics;
using Grpc.Core;
using OtpAuthService.Bench.Client;
using OtpAuthService.Bench.Populations;
using OtpAuthService.Client;
using OtpAuthService.V1;

namespace OtpAuthService.Bench.Timing;

/// <summary>Asks as a front end does, over one connection, takes the time as a front end can, and sees that each answer is what it must be.</summary>
internal sealed class Questioner(OtpAuth.OtpAuthClient service, Population population)
{
    /// <summary>Locking is not timed.</summary>
    private const int LocksInFlight = 16;

    private static readonly VerifyResponse Refused = new() { Outcome = Outcome.Mismatch, Decision = Decision.Deny };

    private static readonly GetRequirementResponse Required = new() { Requirement = Requirement.Required };

    /// <summary>Locks contractors the way they are locked: with wrong OTPs.</summary>
    public Task LockAsync(IEnumerable<int> contractors, CancellationToken cancellation) => ForEachAsync(contractors, LocksInFlight, LockAsync, cancellation);

    /// <summary>Asks them all, in their order.</summary>
    /// <param name="schedule">What, about whom.</param>
    /// <param name="generic">Whether the policy in force is generic.</param>
    /// <param name="inFlight">How many at once.</param>
    /// <param name="cancellation">Ends it before its end.</param>
    /// <returns>Milliseconds, by question.</returns>
    public async Task<ILookup<Question, double>> AskAsync(
        (Question Question, int Contractor)[] schedule, bool generic, int inFlight, CancellationToken cancellation)
    {
        var taken = new double[schedule.Length];
        await ForEachAsync(Enumerable.Range(0, schedule.Length), inFlight, TimeAsync, cancellation);
        return schedule.Zip(taken).ToLookup(sample => sample.First.Question, sample => sample.Second);

        async ValueTask TimeAsync(int i, CancellationToken stop)
        {
            var (question, contractor) = schedule[i];
            taken[i] = question >= Question.RequirementKnown
                ? await TimeRequirementAsync(question, contractor, generic, stop)
                : await TimeVerifyAsync(question, contractor, generic, stop);
        }
    }

    private async ValueTask LockAsync(int contractor, CancellationToken cancellation)
    {
        Outcome last;
        do
        {
            last = (await VerifyAsync(contractor, WrongOtp(contractor), cancellation)).Outcome;
        }
        while (last == Outcome.Mismatch);
        Require(last == Outcome.LockedOut, contractor, last, "LOCKED_OUT");
    }

    private async Task<double> TimeVerifyAsync(Question question, int contractor, bool generic, CancellationToken cancellation)
    {
        var otp = question switch
        {
            Question.VerifyUnknown => 0u,
            Question.VerifyReplayed => await ShowAsync(contractor, cancellation),
            _ => WrongOtp(contractor),
        };
        var began = Stopwatch.GetTimestamp();
        var answer = await VerifyAsync(contractor, otp, cancellation);
        var taken = Stopwatch.GetElapsedTime(began).TotalMilliseconds;

        if (generic)
        {
            // Whole messages: a field that one of them has and another has not would tell.
            answer.DecidedAt = null;
            Require(answer.Equals(Refused), contractor, answer, "the generic refusal");
        }
        else
        {
            Require(answer.Outcome == OutcomeOf(question), contractor, answer, $"{OutcomeOf(question)}");
        }

        return taken;
    }

    private async Task<double> TimeRequirementAsync(Question question, int contractor, bool generic, CancellationToken cancellation)
    {
        var request = new GetRequirementRequest
        {
            InstitutionId = Population.Institution, ContractorId = Population.ContractorId(contractor), Channel = Channel.PcBrowser,
        };
        var began = Stopwatch.GetTimestamp();
        var answer = await service.GetRequirementAsync(request, cancellationToken: cancellation);
        var taken = Stopwatch.GetElapsedTime(began).TotalMilliseconds;

        var due = question switch
        {
            Question.RequirementUnknown => Requirement.NotRegistered,
            Question.RequirementLocked => Requirement.Blocked,
            _ => Requirement.Required,
        };
        Require(generic ? answer.Equals(Required) : answer.Requirement == due, contractor, answer, generic ? "the generic requirement" : $"{due}");
        return taken;
    }

    /// <summary>What is decided, and told where the policy is not generic.</summary>
    public static Outcome OutcomeOf(Question question) => question switch
    {
        Question.VerifyKnown => Outcome.Mismatch,
        Question.VerifyUnknown => Outcome.NotRegistered,
        Question.VerifyLocked => Outcome.LockedOut,
        Question.VerifyReplayed => Outcome.AlreadyUsed,
        _ => throw new ArgumentOutOfRangeException(nameof(question), question, "Not a Verify."),
    };

    /// <summary>Has the contractor's OTP accepted, just before it is replayed: later it would be out of the window, and a wrong one.</summary>
    private async Task<uint> ShowAsync(int contractor, CancellationToken cancellation)
    {
        var otp = population.Otp(contractor, CurrentStep());
        var answer = await VerifyAsync(contractor, otp, cancellation);
        Require(answer.Outcome == Outcome.Accepted, contractor, answer, "ACCEPTED");
        return otp;
    }

    private async Task<VerifyResponse> VerifyAsync(int contractor, uint otp, CancellationToken cancellation) =>
        await service.VerifyAsync(
            new VerifyRequest
            {
                RequestId = RequestId.New(),
                InstitutionId = Population.Institution,
                ContractorId = Population.ContractorId(contractor),
                Channel = Channel.PcBrowser,
                Purpose = Purpose.Login,
                Otp = $"{otp:D6}",
            },
            cancellationToken: cancellation);

    private uint WrongOtp(int contractor) => population.WrongOtp(contractor, CurrentStep());

    private static long CurrentStep() => TimeProvider.System.GetUtcNow().ToUnixTimeSeconds() / Population.PeriodSeconds;

    private static async Task ForEachAsync<T>(
        IEnumerable<T> all, int inFlight, Func<T, CancellationToken, ValueTask> ask, CancellationToken cancellation)
    {
        try
        {
            await Parallel.ForEachAsync(all, new ParallelOptions { MaxDegreeOfParallelism = inFlight, CancellationToken = cancellation }, ask);
        }
        catch (RpcException failed) when (!cancellation.IsCancellationRequested)
        {
            throw new LoadFailedException($"A call failed: {failed.Status}", failed);
        }
    }

    private static void Require(bool holds, int contractor, object answer, string due)
    {
        if (!holds)
        {
            throw new LoadFailedException($"WRONG ANSWER: {answer} where {due} was due, for contractor {Population.ContractorId(contractor)}.");
        }
    }
}
