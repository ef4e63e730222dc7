using OtpAuthService.V1;
using OtpCtl.Commands.Event;

namespace OtpAuthService.Tests;

/// <summary>What lost events of one contractor come to, by what the restored database has: the contractor is stopped wherever the database lets in who was not.</summary>
[TestFixture]
public class LostStopTests
{
    // Events: what, of which credential. The database: the newest binding's credential and state, or nothing.
    [TestCase("Lost A", "A Active", "Lost ReportLost")]
    [TestCase("Lost A", "A Suspended", "Lost ReportLost")]
    [TestCase("Lost A", "A Stopped", "Lost ReportLost")]
    [TestCase("Lost A", "A Lost", "Lost None")]
    [TestCase("Lost A, Registered B", "A Active", "Lost ReportLost")]
    [TestCase("Lost A, ReregistrationOpened A, Registered B, Lost B", "A Active", "Lost ReportLost, Lost SuspendBinding")]
    [TestCase("Registered B, Lost B", "A Lost", "Lost ByHand")]
    [TestCase("Replaced B, Lost B", "A Active", "Lost SuspendBinding")]
    [TestCase("Suspended A", "A Active", "Suspended SuspendBinding")]
    [TestCase("Suspended A, Registered B", "A Active", "Registered SuspendBinding")]
    [TestCase("Suspended A, Registered B", "B Active", "Registered None")]
    [TestCase("Suspended A, Locked A, Unlocked A", "A Active", "Suspended SuspendBinding")]
    [TestCase("Replaced B", "A Active", "Replaced SuspendBinding")]
    [TestCase("Replaced B, Locked B, Unlocked B", "A Active", "Replaced SuspendBinding")]
    [TestCase("Replaced B, Stopped B, Resumed B", "A Active", "Replaced SuspendBinding")]
    [TestCase("Stopped A", "A Active", "Stopped SuspendBinding")]
    [TestCase("Stopped A", "A Stopped", "Stopped None")]
    [TestCase("Stopped A, Resumed A", "A Active", "")]
    [TestCase("Locked A, Stopped A, Resumed A", "A Active", "Locked SuspendBinding")]
    [TestCase("Locked A, Unlocked A", "A Active", "")]
    [TestCase("LockedForAWhile A", "A Active", "")]
    [TestCase("Locked A", "A Suspended", "Locked ByHand")]
    [TestCase("Registered A", "", "Registered ByHand")]
    [TestCase("Registered B", "A Lost", "Registered ByHand")]
    [TestCase("DuplicateUse A, Bypassed A, TemporaryOtpUsed A", "A Active", "")]
    public void LostEvents_OfOneContractor_StopWhomTheDatabaseWouldLetIn(string events, string database, string expected)
    {
        var lost = events.Split(", ").Select(Event).ToList();
        var now = database.Length == 0 ? null : new GetBindingResponse { History = { Binding(database) } };

        Assert.That(string.Join(", ", LostStop.Of(lost).Select(stop => $"{stop.Event.Kind} {stop.RemedyFor(now)}")), Is.EqualTo(expected));
    }

    [Test]
    public void LostEvents_OfSeveralContractors_AreNotMixed()
    {
        var (first, second) = (Event("Stopped A"), Event("Resumed A"));
        second.ContractorId = "C-2";
        Assert.That(LostStop.Of([first, second]).Select(stop => stop.Contractor), Is.EqualTo(new[] { "C-1" }));
    }

    private static StreamEventsResponse Event(string text)
    {
        var (kind, credential) = (text.Split(' ')[0], text.Split(' ')[1]);
        var told = new StreamEventsResponse { ContractorId = "C-1", CredentialId = credential };
        if (kind == "LockedForAWhile")
        {
            (told.Kind, told.LockedUntil) = (EventKind.Locked, new());
        }
        else
        {
            told.Kind = Enum.Parse<EventKind>(kind);
        }

        return told;
    }

    private static Binding Binding(string text) => new() { CredentialId = text.Split(' ')[0], State = Enum.Parse<BindingState>(text.Split(' ')[1]) };
}
