using Google.Protobuf.WellKnownTypes;
using OtpAuthService.V1;
using OtpCtl.Commands.Binding;

namespace OtpAuthService.Tests;

/// <summary>What follows "because", from plain values: every outcome that a record of each RPC can have.</summary>
public sealed class AnswerCauseTests
{
    private const long CurrentStep = 59_000_000;

    private static readonly DateTimeOffset Moment = DateTimeOffset.FromUnixTimeSeconds((CurrentStep * 30) + 5);

    private static readonly Outcome[] OfAnOtp =
        [Outcome.Accepted, Outcome.Mismatch, Outcome.AlreadyUsed, Outcome.LockedOut, Outcome.Suspended, Outcome.Lost, Outcome.CredentialUnusable];

    private static readonly Outcome[] OfACredential = [Outcome.OutOfSync, Outcome.CredentialUnknown, Outcome.AlreadyRegistered, Outcome.CredentialInUse];

    /// <summary>As otp_auth.proto and otp_operations.proto have it, and records of operators' acts that were refused.</summary>
    private static readonly Dictionary<string, Outcome[]> Outcomes = new()
    {
        ["Verify"] = [.. OfAnOtp, Outcome.Bypassed, Outcome.BypassRefused, Outcome.NotRegistered, Outcome.OutOfSync],
        ["Register"] = [.. OfAnOtp, .. OfACredential],
        ["Suspend"] = [.. OfAnOtp, Outcome.NotRegistered, Outcome.OutOfSync],
        ["Replace"] = [.. OfAnOtp, .. OfACredential, Outcome.NotRegistered],
        ["Resynchronize"] = [.. OfAnOtp, Outcome.NotRegistered],
        ["CheckOtp"] = [Outcome.Accepted, Outcome.Mismatch, Outcome.AlreadyUsed, Outcome.OutOfSync, Outcome.CredentialUnusable, Outcome.NotRegistered],
        ["ReportLost"] = [Outcome.Accepted, Outcome.NotRegistered],
        ["OpenReregistration"] = [Outcome.Accepted, Outcome.NotRegistered],
        ["Unlock"] = [Outcome.Accepted, Outcome.NotRegistered],
        ["SuspendBinding"] = [Outcome.Accepted, Outcome.NotRegistered],
        ["ResumeBinding"] = [Outcome.Accepted, Outcome.NotRegistered],
        ["IssueTemporaryOtp"] = [Outcome.Accepted, Outcome.NotRegistered],
        ["ConfirmTemporaryOtp"] = [Outcome.Accepted, Outcome.NotRegistered, Outcome.Mismatch],
        ["SetBypassOptOut"] = [Outcome.Accepted],
    };

    [TestCaseSource(nameof(All))]
    public void Cause_OfEveryOutcomeOfEveryRpc_IsASentence(string rpc, Outcome outcome)
    {
        foreach (var binding in System.Enum.GetValues<BindingState>().Where(state => state != BindingState.Unspecified))
        {
            var cause = AnswerCause.Of(Answer(rpc, outcome), State(binding));
            Assert.That(cause, Does.Match(@"\A\S.*[^.:;, ]\z").And.Not.Contain("  ").And.Not.Contain(": :"));
        }
    }

    [Test]
    public void Outcomes_OfTheContract_AreAllExplained() => Assert.That(
        Outcomes.Values.SelectMany(outcomes => outcomes).Distinct(), Is.EquivalentTo(System.Enum.GetValues<Outcome>().Where(outcome => outcome != Outcome.Unspecified)));

    [TestCase("Verify", Outcome.Unspecified)]
    [TestCase("Verify", (Outcome)99)]
    [TestCase("CheckOtp", Outcome.LockedOut)]
    [TestCase("Unlock", Outcome.LockedOut)]
    public void Cause_OfWhatCannotBe_IsAFault(string rpc, Outcome outcome) =>
        Assert.That(() => AnswerCause.Of(Answer(rpc, outcome), State()), Throws.InvalidOperationException);

    [TestCase(0, 0, "the OTP of ABCD12345678 was of the current time step (0, window -1 to +1), and had not been used")]
    [TestCase(-1, 0, "the OTP of ABCD12345678 was of the time step before the current one (-1, window -1 to +1), and had not been used")]
    [TestCase(1, 0, "the OTP of ABCD12345678 was of the time step after the current one (+1, window -1 to +1), and had not been used")]
    [TestCase(-5, -4, "the OTP of ABCD12345678 was of the time step before the expected one, which is 4 time steps (120 s) behind the service's as is known of the credential's clock (-1, window -1 to +1), and had not been used")]
    [TestCase(3, 0, "the OTP of ABCD12345678 was 3 time steps (90 s) ahead of the service's, where the acceptance window lay by what was known of the credential's clock then, and had not been used")]
    public void Accepted_AtATierOfTheWindow_NamesIt(int offset, int drift, string cause)
    {
        var answer = Answer("Verify", Outcome.Accepted);
        answer.Record.TimeStep = CurrentStep + offset;
        Assert.That(AnswerCause.Of(answer, State(drift: drift)), Is.EqualTo(cause));
    }

    [TestCase(1, "; counted, as number 1 of the 5 in a row that lock for 30 min")]
    [TestCase(5, "; counted, as number 5 of the 5 in a row that lock for 30 min: locked until 2026-02-02T03:10:05.000Z")]
    [TestCase(6, "; counted, as number 6 of the 10 in a row that lock until an operator unlocks")]
    [TestCase(10, "; counted, as number 10 of the 10 in a row that lock until an operator unlocks: locked")]
    public void Mismatch_OfACount_NamesItsRung(int failures, string end)
    {
        Assert.That(AnswerCause.Of(Answer("Verify", Outcome.Mismatch) with { Failures = failures }, State()), Does.EndWith(end));
        Assert.That(AnswerCause.Of(Answer("Verify", Outcome.OutOfSync) with { Failures = failures }, State()), Does.EndWith(end));
    }

    [Test]
    public void Mismatch_WhoseCountIsNotCertain_SaysOnlyWhatIs()
    {
        var answer = Answer("Verify", Outcome.Mismatch) with { Failures = 5 };
        var generic = State();
        generic.Policy.OutcomeDetail = OutcomeDetail.Generic;
        var changed = State();
        changed.Institution.PolicyVersion = 2;
        using (Assert.EnterMultipleScope())
        {
            Assert.That(AnswerCause.Of(answer with { IsWholeRow = false }, State()), Does.EndWith("; counted, as at least number 5 of the wrong ones in a row"));
            Assert.That(AnswerCause.Of(answer with { IsUnderOnePolicy = false }, State()), Does.EndWith("; counted, as number 5 of the wrong ones in a row"));
            Assert.That(AnswerCause.Of(answer, changed), Does.EndWith("the acceptance window, nor of an unused one within 60 min; counted, as number 5 of the wrong ones in a row"));
            Assert.That(AnswerCause.Of(answer, generic), Does.EndWith("; counted, unless it had another number of digits than the credential shows"));
        }
    }

    [TestCase(5, "5 wrong OTPs in a row, the last at 2026-02-02T02:39:05.000Z, had locked the contractor until 2026-02-02T03:09:05.000Z; the OTP was not looked at")]
    [TestCase(10, "10 wrong OTPs in a row, the last at 2026-02-02T02:39:05.000Z, had locked the contractor until an operator unlocks; the OTP was not looked at")]
    public void LockedOut_AfterACount_NamesTheRung(int failures, string cause)
    {
        var answer = Answer("Verify", Outcome.LockedOut) with { Failures = failures, LastFailure = Record("Verify", Outcome.Mismatch, -60) };
        Assert.That(AnswerCause.Of(answer, State()), Is.EqualTo(cause));
    }

    [TestCase(-29, "last at 2026-02-02T02:39:36.000Z by Verify of LOGIN over PC_BROWSER")]
    [TestCase(-3600, "by nothing that was read here, so earlier, at another institution, or a fence refused it")]
    public void AlreadyUsed_AfterAClaim_NamesItWhereItMayBeIt(int seconds, string end)
    {
        var claim = Record("Verify", Outcome.Accepted, seconds);
        claim.TimeStep = CurrentStep + (seconds / 30);
        Assert.That(AnswerCause.Of(Answer("Verify", Outcome.AlreadyUsed) with { LastClaim = claim }, State()), Does.EndWith(end));
    }

    [TestCase(-60, 90, true)]
    [TestCase(-60, -1, false)]
    [TestCase(1, 90, false)]
    public void AlreadyUsed_UnderAFence_NamesTheFence(int raised, int until, bool isFenced)
    {
        var state = State() with { Fence = new() { RaisedAt = At(raised), Fence = At(until) } };
        Assert.That(AnswerCause.Of(Answer("Verify", Outcome.AlreadyUsed), state).StartsWith("a fence refuses every OTP up to ", StringComparison.Ordinal), Is.EqualTo(isFenced));
    }

    [TestCase(BindingState.Stopped, Decision.Deny, "the bank had stopped the binding")]
    [TestCase(BindingState.Active, Decision.Deny, "the bank had stopped the binding")]
    [TestCase(BindingState.Suspended, Decision.Deny, "the contractor had stopped using OTPs (利用停止) at 2026-02-02T02:30:05.000Z, and policy version 1 answers a LOGIN without one with DENY")]
    [TestCase(BindingState.Suspended, Decision.Allow, "the contractor had stopped using OTPs (利用停止) at 2026-02-02T02:30:05.000Z, and policy version 1 answers a LOGIN without one with ALLOW")]
    public void Suspended_ByTheBankOrTheContractor_SaysByWhom(BindingState binding, Decision decision, string start)
    {
        var answer = Answer("Verify", Outcome.Suspended);
        answer.Record.Decision = decision;
        Assert.That(AnswerCause.Of(answer, State(binding)), Does.StartWith(start));
    }

    [TestCase(true, false, "the contractor is never to be answered without an OTP, by own wish")]
    [TestCase(false, false, "caller ib-1 had gone without an OTP for this contractor as often as it may within 60 min")]
    [TestCase(false, true, "the contractor is never to be answered without an OTP, by own wish, or caller ib-1 had gone without an OTP for this contractor as often as it may within 60 min")]
    public void BypassRefused_ByWishOrCap_SaysWhich(bool never, bool isBeforeOptOut, string cause)
    {
        var state = State();
        state.Binding!.NeverBypassed = never;
        Assert.That(AnswerCause.Of(Answer("Verify", Outcome.BypassRefused) with { IsBeforeOptOut = isBeforeOptOut }, state), Is.EqualTo(cause));
    }

    /// <summary>The first step of a Replace uses up the OTP of the credential in use; then what is refused is the other one.</summary>
    [Test]
    public void Replace_WithAClaim_WasRefusedForTheNewCredential([Values(Outcome.Mismatch, Outcome.OutOfSync, Outcome.CredentialUnknown, Outcome.AlreadyUsed)] Outcome outcome)
    {
        var answer = Answer("Replace", outcome);
        answer.Record.TimeStep = CurrentStep;
        Assert.That(AnswerCause.Of(answer, State()), Does.StartWith("the OTP of ABCD12345678 was right, and is used up, but of the new credential: "));
        answer.Record.ClearTimeStep();
        Assert.That(AnswerCause.Of(answer, State()), Does.Not.Contain("used up"));
    }

    [Test]
    public void Unusable_OfACredential_SaysWhyAsFarAsItIsKnown()
    {
        var (answer, state) = (Answer("Verify", Outcome.CredentialUnusable), State());
        var credential = state.Credentials["ABCD12345678"];
        Assert.That(AnswerCause.Of(answer, state), Does.EndWith("its supplier, Example, is closed for it, or was"));
        credential.Status = CredentialStatus.Lost;
        Assert.That(AnswerCause.Of(answer, state), Does.EndWith("it was reported lost, here or at another institution"));
        credential.ValidFrom = At(1);
        Assert.That(AnswerCause.Of(answer, state), Does.EndWith("it is not valid before 2026-02-02T02:40:06.000Z"));
        credential.ValidUntil = At(0);
        Assert.That(AnswerCause.Of(answer, state), Does.EndWith("its validity ended at 2026-02-02T02:40:05.000Z"));
    }

    [TestCase(BindingState.Active, "in use since", null)]
    [TestCase(BindingState.Suspended, "stopped using OTPs", "the customer registers a credential")]
    [TestCase(BindingState.Stopped, "The bank has stopped the binding", "otpctl binding resume --contractor K-1")]
    [TestCase(BindingState.Lost, "was reported lost", "otpctl binding open-reregistration --contractor K-1")]
    public void State_OfEachBinding_SaysWhatToDo(BindingState binding, string sentence, string? advice)
    {
        var state = State(binding);
        Assert.That(string.Join(' ', StateText.Of(state, Moment)), Does.Contain(sentence));
        Assert.That(string.Join(' ', StateText.ToDo(state, null, Moment)), advice is null ? Is.Empty : Does.Contain(advice));
    }

    [Test]
    public void State_OfAReplacedNewestBinding_IsAFault() =>
        Assert.That(() => StateText.Of(State(BindingState.Replaced), Moment).ToList(), Throws.InvalidOperationException);

    private static IEnumerable<TestCaseData> All() => Outcomes.SelectMany(rpc => rpc.Value.Select(outcome => new TestCaseData(rpc.Key, outcome)));

    private static RecordedAnswer Answer(string rpc, Outcome outcome) => new(Record(rpc, outcome, 0))
    {
        Failures = 1,
        IsWholeRow = true,
        IsUnderOnePolicy = true,
        LastFailure = null,
        LastClaim = null,
        LastOutOfSync = null,
        IsBeforeOptOut = false,
    };

    private static AuditRecord Record(string rpc, Outcome outcome, int seconds) => new()
    {
        DecidedAt = At(seconds),
        Rpc = rpc,
        CallerId = "ib-1",
        Channel = Channel.PcBrowser,
        Purpose = rpc == "Verify" ? Purpose.Login : Purpose.Unspecified,
        CredentialId = "ABCD12345678",
        Outcome = outcome,
        Decision = outcome is Outcome.Accepted or Outcome.Bypassed ? Decision.Allow : Decision.Deny,
        PolicyVersion = 1,
    };

    private static Timestamp At(int seconds) => Moment.AddSeconds(seconds).ToTimestamp();

    private static CurrentState State(BindingState binding = BindingState.Active, int drift = 0) => new(
        "K-1",
        new()
        {
            PolicyVersion = 1,
            Policy = new()
            {
                AcceptanceWindow = AcceptanceWindowProfile.Default,
                TemporaryLimit = 5,
                HardLimit = 10,
                TemporaryLock = TimeSpan.FromMinutes(30).ToDuration(),
                SuspendedLogin = Decision.Allow,
                OutcomeDetail = OutcomeDetail.Full,
            },
        },
        new()
        {
            History =
            {
                new Binding
                {
                    CredentialId = "ABCD12345678",
                    State = binding,
                    RegisteredAt = At(-3600),
                    EndedAt = binding is BindingState.Active or BindingState.Stopped ? null : At(-600),
                },
            },
        },
        new(),
        new Dictionary<string, Credential>
        {
            ["ABCD12345678"] = new() { CredentialId = "ABCD12345678", PeriodSeconds = 30, DriftSteps = drift, Supplier = "Example", Status = CredentialStatus.Active },
        });
}
