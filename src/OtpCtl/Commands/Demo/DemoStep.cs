using OtpAuthService.V1;

namespace OtpCtl.Commands.Demo;

/// <summary>One step of the journey and what became of it.</summary>
/// <param name="Act">What happens, in English.</param>
/// <param name="Term">The bank's word for it.</param>
/// <param name="Call">What was called, in words: no OTP is printed.</param>
/// <param name="Answer">What came back.</param>
/// <param name="Surprise">What is wrong with the answer; null where it is as expected.</param>
internal sealed record DemoStep(string Act, string Term, string Call, DemoAnswer Answer, string? Surprise)
{
    /// <param name="expected">A decision of null stands for whatever the institution's policy says.</param>
    public static DemoStep Judge(string act, string term, string call, DemoAnswer answer, DemoAnswer expected)
    {
        var asExpected = Equals(answer.Outcome, expected.Outcome)
            && (answer.Decision == expected.Decision || (expected.Decision is null && answer.Decision is not Decision.Unspecified))
            && answer.Repeated == expected.Repeated;
        return new(act, term, call, answer, asExpected ? null : $"expected {expected}, got {answer}");
    }
}

/// <summary>An answer, whichever RPC gave it. Outcome is an Outcome, a Requirement, or null where there is nothing to decide.</summary>
internal sealed record DemoAnswer(Enum? Outcome, Decision? Decision = null, bool Repeated = false, int? AttemptsLeft = null)
{
    public static DemoAnswer Of(GetRequirementResponse a) => new(a.Requirement);

    public static DemoAnswer Of(IOtpAnswer a) => new(a.Outcome, a.Decision, a.Repeated, a.HasAttemptsLeft ? a.AttemptsLeft : null);

    public override string ToString() => string.Join(", ", Words());

    /// <summary>"ALREADY_USED", "DENY", "4 attempts left".</summary>
    public IEnumerable<string> Words()
    {
        yield return Outcome is null ? "done" : AnswerText.Text(Outcome);
        if (Decision is { } decision)
        {
            yield return AnswerText.Text(decision);
        }

        if (AttemptsLeft is { } left)
        {
            yield return $"attempts left: {left}";
        }

        if (Repeated)
        {
            yield return "repeated";
        }
    }
}
