using OtpAuthService.V1;
using OtpCtl.Commands.Binding;

namespace OtpAuthService.Tests;

/// <summary>What the order of a contractor's records tells that stands in none of them.</summary>
public sealed class RecentAnswersTests
{
    private const Outcome Wrong = Outcome.Mismatch;

    [Test]
    public void Last_OfMoreThanTheLimit_AreTheNewestAndKnowWhatWasBefore()
    {
        var recent = Taken(3, [Outcome.Accepted, Wrong, Wrong, Wrong, Outcome.OutOfSync, Outcome.LockedOut]);
        Assert.That(recent.Last(4).Select(answer => (answer.Record.Outcome, answer.Failures, answer.IsWholeRow)), Is.EqualTo(
            [(Wrong, 3, true), (Outcome.OutOfSync, 4, true), (Outcome.LockedOut, 4, true)]));
        Assert.That(recent.Last(4)[2].LastFailure!.Outcome, Is.EqualTo(Outcome.OutOfSync));
    }

    /// <summary>Where the row that goes on now began before the records, the service's own count says how many were before.</summary>
    [Test]
    public void Failures_OfARowThatBeganBefore_AreCountedFromItsEnd() =>
        Assert.That(Taken(10, [Wrong, Outcome.AlreadyUsed, Wrong]).Last(failuresNow: 5).Select(answer => (answer.Failures, answer.IsWholeRow)), Is.EqualTo([(4, true), (4, true), (5, true)]));

    [Test]
    public void Failures_OfARowThatBeganBeforeAndHasEnded_AreAtLeastSoMany() =>
        Assert.That(Taken(10, [Wrong, Outcome.Accepted, Wrong]).Last(failuresNow: 1).Select(answer => (answer.Failures, answer.IsWholeRow)), Is.EqualTo([(1, false), (0, true), (1, true)]));

    [Test]
    public void Failures_AfterAnUnlock_BeginAnew()
    {
        var recent = new RecentAnswers(10);
        foreach (var record in new[] { Record(Wrong), Record(Outcome.Accepted, "Unlock"), Record(Wrong), Record(Outcome.Mismatch, "CheckOtp"), Record(Outcome.Accepted, "CheckOtp"), Record(Wrong) })
        {
            recent.Add(record);
        }

        Assert.That(recent.Last(2).Select(answer => answer.Failures), Is.EqualTo([1, 0, 1, 1, 1, 2]), "CheckOtp counts nothing and ends nothing");
    }

    [Test]
    public void Failures_UnderTwoPolicies_AreKnownToBe()
    {
        var recent = new RecentAnswers(10);
        foreach (var version in new[] { 1, 2, 2 })
        {
            recent.Add(Record(Wrong, version: version));
        }

        recent.Add(Record(Outcome.Accepted, version: 2));
        recent.Add(Record(Wrong, version: 2));
        Assert.That(recent.Last(1).Select(answer => answer.IsUnderOnePolicy), Is.EqualTo([true, false, false, true, true]));
    }

    [Test]
    public void Claims_OfACredential_AreThoseBefore()
    {
        var recent = new RecentAnswers(10);
        recent.Add(Record(Outcome.Accepted, step: 7));
        recent.Add(Record(Outcome.Accepted, step: 8, credential: "WXYZ00000000"));
        recent.Add(Record(Outcome.OutOfSync));
        recent.Add(Record(Outcome.AlreadyUsed));

        var answers = recent.Last(0);
        Assert.That(answers.Select(answer => answer.LastClaim?.TimeStep), Is.EqualTo(new long?[] { null, null, 7, 7 }));
        Assert.That(answers.Select(answer => answer.LastOutOfSync is not null), Is.EqualTo([false, false, false, true]));
    }

    [Test]
    public void OptOut_ChangedAfterAnAnswer_IsNoted()
    {
        var recent = new RecentAnswers(2);
        recent.Add(Record(Outcome.BypassRefused));
        recent.Add(Record(Outcome.Accepted, "SetBypassOptOut"));
        Assert.That(recent.Last(0).Select(answer => answer.IsBeforeOptOut), Is.EqualTo([true, false]));
        recent.Add(Record(Outcome.BypassRefused));
        Assert.That(recent.Last(0).Select(answer => answer.IsBeforeOptOut), Is.EqualTo([false, false]));
    }

    private static RecentAnswers Taken(int limit, Outcome[] outcomes)
    {
        var recent = new RecentAnswers(limit);
        Array.ForEach(outcomes, outcome => recent.Add(Record(outcome)));
        return recent;
    }

    private static AuditRecord Record(Outcome outcome, string rpc = "Verify", int version = 1, long? step = null, string credential = "ABCD12345678")
    {
        var record = new AuditRecord { Rpc = rpc, Outcome = outcome, PolicyVersion = version, CredentialId = credential };
        if (step is { } claimed)
        {
            record.TimeStep = claimed;
        }

        return record;
    }
}
