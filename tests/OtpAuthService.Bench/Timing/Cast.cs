using OtpAuthService.Bench.Populations;

namespace OtpAuthService.Bench.Timing;

/// <summary>
/// Which contractor is asked about: each shows one OTP to be replayed, or has at most four wrong ones, so that none is locked by them; some
/// were locked beforehand; and ids that nobody has, another one each time.
/// </summary>
internal sealed class Cast
{
    /// <summary>Five lock; see the product's guess budget.</summary>
    private const int WrongPerContractor = 4;

    /// <summary>Enough that they are not asked about more often than the others.</summary>
    private const int LockedCount = 1_000;

    private readonly int showing;
    private readonly int guessing;
    private int shown;
    private int guessed;
    private int asked;
    private int unknown;

    /// <param name="samples">How many of each question there will be, at most.</param>
    public Cast(int samples)
    {
        showing = samples;
        guessing = (samples + WrongPerContractor - 1) / WrongPerContractor;
        Locked = Enumerable.Range(showing + guessing, LockedCount);
        Count = showing + guessing + LockedCount;
        unknown = Count;
    }

    /// <summary>As many contractors the service must have.</summary>
    public int Count { get; }

    /// <summary>To be locked before anything is measured.</summary>
    public IEnumerable<int> Locked { get; }

    /// <summary>As many of each question as said, in the order of a shuffle that is the same in each run.</summary>
    /// <returns>The questions, each with the number of its contractor; from <see cref="Count"/> on there is none.</returns>
    public (Question Question, int Contractor)[] Schedule(int samples, int seed)
    {
        var schedule = Questions.All.SelectMany(question => Enumerable.Range(0, samples).Select(_ => (question, Next(question)))).ToArray();
#pragma warning disable CA5394 // An order, and no secret: it has to be the same each time.
        new Random(seed).Shuffle(schedule);
#pragma warning restore CA5394
        return schedule;
    }

    private int Next(Question question) => question switch
    {
        Question.VerifyReplayed => shown < showing ? shown++ : throw Exhausted(),
        Question.VerifyKnown => guessed < guessing * WrongPerContractor ? showing + (guessed++ % guessing) : throw Exhausted(),
        Question.RequirementKnown => showing + (asked++ % guessing),
        Question.VerifyLocked or Question.RequirementLocked => showing + guessing + (asked++ % LockedCount),
        Question.VerifyUnknown or Question.RequirementUnknown => unknown++,
        _ => throw new ArgumentOutOfRangeException(nameof(question), question, "Not a question."),
    };

    private static InvalidOperationException Exhausted() => new("There are more samples than the cast was made for.");
}
