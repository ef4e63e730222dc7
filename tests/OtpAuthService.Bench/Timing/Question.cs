namespace OtpAuthService.Bench.Timing;

/// <summary>What is asked, and about whom. Where the institution's policy is generic, the answers are to tell nobody which it was.</summary>
internal enum Question
{
    /// <summary>Verify with a wrong OTP of a contractor who is registered; a guess that counts, and does not lock.</summary>
    VerifyKnown,

    /// <summary>Verify of a contractor id that nobody has.</summary>
    VerifyUnknown,

    /// <summary>Verify with a wrong OTP of a contractor who is locked.</summary>
    VerifyLocked,

    /// <summary>Verify with an OTP that was accepted just before.</summary>
    VerifyReplayed,

    /// <summary>GetRequirement of a contractor who is registered.</summary>
    RequirementKnown,

    /// <summary>GetRequirement of a contractor id that nobody has.</summary>
    RequirementUnknown,

    /// <summary>GetRequirement of a contractor who is locked.</summary>
    RequirementLocked,
}

internal static class Questions
{
    public static readonly Question[] All = Enum.GetValues<Question>();

    public static string Title(this Question question) => question switch
    {
        Question.VerifyKnown => "Verify, wrong OTP, known",
        Question.VerifyUnknown => "Verify, unknown",
        Question.VerifyLocked => "Verify, wrong OTP, locked",
        Question.VerifyReplayed => "Verify, used OTP, known",
        Question.RequirementKnown => "GetRequirement, known",
        Question.RequirementUnknown => "GetRequirement, unknown",
        Question.RequirementLocked => "GetRequirement, locked",
        _ => throw new ArgumentOutOfRangeException(nameof(question), question, "Not a question."),
    };

    /// <summary>What the others of the same call are held against: a contractor who is known and not locked.</summary>
    public static Question Reference(this Question question) =>
        question >= Question.RequirementKnown ? Question.RequirementKnown : Question.VerifyKnown;
}
