using Microsoft.Extensions.Time.Testing;
using OtpCtl.Commands.Audit;

namespace OtpAuthService.Tests;

/// <summary>What --since and --until take.</summary>
public sealed class MomentOptionTests
{
    [TestCase("2026-03-31T09:00:00+09:00", "2026-03-31T00:00:00Z")]
    [TestCase("2026-03-31T09:00-03:30", "2026-03-31T12:30:00Z")]
    [TestCase("2026-03-31T09:00:00.125Z", "2026-03-31T09:00:00.125Z")]
    [TestCase("2026-03-31T09:00Z", "2026-03-31T09:00:00Z")]
    [TestCase("2026-03-31T09:00:30", "2026-03-31T00:00:30Z", Description = "the zone of the clock")]
    [TestCase("2026-03-31T09:00", "2026-03-31T00:00:00Z")]
    [TestCase("2026-03-31", "2026-03-30T15:00:00Z", Description = "its midnight")]
    [TestCase("45s", "2026-04-01T11:59:15Z")]
    [TestCase("90m", "2026-04-01T10:30:00Z")]
    [TestCase("24h", "2026-03-31T12:00:00Z")]
    [TestCase("7d", "2026-03-25T12:00:00Z")]
    [TestCase("2w", "2026-03-18T12:00:00Z")]
    public void Moment_OfEachForm_IsThatInstant(string text, string instant) =>
        Assert.That(MomentOption.Parse(text, Clock()), Is.EqualTo(DateTimeOffset.Parse(instant, System.Globalization.CultureInfo.InvariantCulture)));

    [TestCase("")]
    [TestCase("yesterday")]
    [TestCase("2026-02-30")]
    [TestCase("31.03.2026")]
    [TestCase("2026-03-31Z")]
    [TestCase("2026-03-31 09:00")]
    [TestCase(" 2026-03-31")]
    [TestCase("2026-03-31T24:30")]
    [TestCase("24")]
    [TestCase("h")]
    [TestCase("-24h")]
    [TestCase("1.5h")]
    [TestCase("24h\n")]
    [TestCase("２４h")]
    [TestCase("9999999999s")]
    [TestCase("999999999w", Description = "before the epoch")]
    public void Moment_OfNoForm_IsNone(string text) => Assert.That(MomentOption.Parse(text, Clock()), Is.Null);

    [Test]
    public void Moment_InALocalZoneWithSummerTime_HasTheOffsetOfItsDay()
    {
        var clock = Clock();
        clock.SetLocalTimeZone(TimeZoneInfo.FindSystemTimeZoneById("Europe/Berlin"));

        using (Assert.EnterMultipleScope())
        {
            Assert.That(MomentOption.Parse("2026-01-15", clock)!.Value.Offset, Is.EqualTo(TimeSpan.FromHours(1)));
            Assert.That(MomentOption.Parse("2026-07-15", clock)!.Value.Offset, Is.EqualTo(TimeSpan.FromHours(2)));
        }
    }

    // Noon UTC on 1 April, in a zone nine hours ahead.
    private static FakeTimeProvider Clock()
    {
        var clock = new FakeTimeProvider(new DateTimeOffset(2026, 4, 1, 12, 0, 0, TimeSpan.Zero));
        clock.SetLocalTimeZone(TimeZoneInfo.CreateCustomTimeZone("ahead", TimeSpan.FromHours(9), "ahead", "ahead"));
        return clock;
    }
}
