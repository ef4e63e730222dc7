using System.Text;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;
using OtpAuthService.Verification;
using OtpNet;
using Otp = OtpAuthService.Verification.Otp;

namespace OtpAuthService.Tests.Verification;

[TestFixture]
public class TotpMatcherTests
{
    private const string Seed = "1234567890";

    /// <summary>RFC 6238 appendix B, with the seed lengths of its reference code (erratum 2866).</summary>
    [TestCase(59L, "94287082", Algorithm.Sha1)]
    [TestCase(59L, "46119246", Algorithm.Sha256)]
    [TestCase(59L, "90693936", Algorithm.Sha512)]
    [TestCase(1111111109L, "07081804", Algorithm.Sha1)]
    [TestCase(1111111109L, "68084774", Algorithm.Sha256)]
    [TestCase(1111111109L, "25091201", Algorithm.Sha512)]
    [TestCase(1111111111L, "14050471", Algorithm.Sha1)]
    [TestCase(1111111111L, "67062674", Algorithm.Sha256)]
    [TestCase(1111111111L, "99943326", Algorithm.Sha512)]
    [TestCase(1234567890L, "89005924", Algorithm.Sha1)]
    [TestCase(1234567890L, "91819424", Algorithm.Sha256)]
    [TestCase(1234567890L, "93441116", Algorithm.Sha512)]
    [TestCase(2000000000L, "69279037", Algorithm.Sha1)]
    [TestCase(2000000000L, "90698825", Algorithm.Sha256)]
    [TestCase(2000000000L, "38618901", Algorithm.Sha512)]
    [TestCase(20000000000L, "65353130", Algorithm.Sha1)]
    [TestCase(20000000000L, "77737706", Algorithm.Sha256)]
    [TestCase(20000000000L, "47863826", Algorithm.Sha512)]
    public void Match_Rfc6238AppendixB_FindsTheStep(long unixSeconds, string otp, Algorithm algorithm)
    {
        var step = TimeStep.At(DateTimeOffset.FromUnixTimeSeconds(unixSeconds), 30);
        Assert.That(TotpMatcher.Match(RfcKey(algorithm), algorithm, Parse(otp), step.Plus(-1), step.Plus(1)), Is.EqualTo(step));
    }

    /// <summary>RFC 4226 appendix D: six digits, counters 0 to 9.</summary>
    [TestCase(0, "755224")]
    [TestCase(1, "287082")]
    [TestCase(2, "359152")]
    [TestCase(3, "969429")]
    [TestCase(4, "338314")]
    [TestCase(5, "254676")]
    [TestCase(6, "287922")]
    [TestCase(7, "162583")]
    [TestCase(8, "399871")]
    [TestCase(9, "520489")]
    public void Match_Rfc4226AppendixD_FindsTheStep(int counter, string otp) =>
        Assert.That(
            TotpMatcher.Match(RfcKey(Algorithm.Sha1), Algorithm.Sha1, Parse(otp), new TimeStep(0), new TimeStep(9)), Is.EqualTo(new TimeStep(counter)));

    [Test]
    public void Match_AgainstOtpNet_AgreesOnThousandsOfKeysAndSteps()
    {
        var keys = new Random(20261122);
        for (var i = 0; i < 3_000; i++)
        {
            var key = new byte[keys.Next(16, 65)];
            keys.NextBytes(key);
            var algorithm = (Algorithm)keys.Next(1, 4);
            var mode = (OtpHashMode)((int)algorithm - 1);
            var step = new TimeStep(keys.NextInt64(0, 4_000_000_000));
            var digits = keys.Next(2) == 0 ? 6 : 8;
            var otp = new Totp(key, 30, mode, digits).ComputeTotp(step.Start(30).UtcDateTime);
            Assert.That(TotpMatcher.Match(key, algorithm, Parse(otp), step.Plus(-1), step.Plus(1)), Is.Not.Null.And.GreaterThanOrEqualTo(step));
        }
    }

    [TestCase(-2)]
    [TestCase(2)]
    public void Match_StepOutsideTheWindow_IsNull(int away)
    {
        var key = RfcKey(Algorithm.Sha1);
        var now = new TimeStep(50_000_000);
        var otp = new Totp(key).ComputeTotp(now.Plus(away).Start(30).UtcDateTime);
        Assert.That(TotpMatcher.Match(key, Algorithm.Sha1, Parse(otp), now.Plus(-1), now.Plus(1)), Is.Null);
    }

    /// <summary>A Verify that waits for a collection is a customer who waits, and garbage of the match would be all of them.</summary>
    [TestCase(Algorithm.Sha1)]
    [TestCase(Algorithm.Sha256)]
    [TestCase(Algorithm.Sha512)]
    public void Match_OfAnyOtp_AllocatesNothing(Algorithm algorithm)
    {
        var (key, right, wrong) = (RfcKey(algorithm), Parse("755224"), Parse("000000"));
        Match(100);
        var before = GC.GetAllocatedBytesForCurrentThread();

        Match(1_000);

        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.Zero);

        void Match(int times)
        {
            for (var i = 0; i < times; i++)
            {
                TotpMatcher.Match(key, algorithm, i % 2 == 0 ? right : wrong, new TimeStep(0), new TimeStep(4));
            }
        }
    }

    /// <summary>A key whose steps share their digits, found by search: claiming the lower one would let the digits in twice.</summary>
    [Test]
    public void Match_AdjacentStepsWithEqualDigits_TakesTheHighest()
    {
        var (key, step, otp) = EqualDigits.Find();
        Assert.That(TotpMatcher.Match(key, Algorithm.Sha1, Parse(otp), step.Plus(-1), step.Plus(1)), Is.EqualTo(step.Plus(1)));
    }

    [Test]
    public void Match_WindowBeforeTheEpoch_StartsAtZero() =>
        Assert.That(
            TotpMatcher.Match(RfcKey(Algorithm.Sha1), Algorithm.Sha1, Parse("755224"), new TimeStep(-1), new TimeStep(1)), Is.EqualTo(new TimeStep(0)));

    [TestCase("")]
    [TestCase("12345")]
    [TestCase("1234567")]
    [TestCase("123456789")]
    [TestCase("１２３４５６")]
    [TestCase("١٢٣٤٥٦")]
    [TestCase("12345 ")]
    [TestCase("+12345")]
    [TestCase("12345\0")]
    [TestCase("123456\n")]
    public void Otp_NotSixOrEightAsciiDigits_IsRefused(string text) => Assert.That(Otp.TryParse(text, out _), Is.False);

    [Test]
    public void Otp_InAnyFormOfPrinting_ShowsNoDigits()
    {
        var otp = Parse("918273");
        Assert.That($"{otp}{otp:D}{System.Text.Json.JsonSerializer.Serialize(otp)}", Does.Not.Contain("918273"));
    }

    private static Otp Parse(string text) => Otp.TryParse(text, out var otp) ? otp : throw new FormatException(text);

    private static byte[] RfcKey(Algorithm algorithm)
    {
        var length = algorithm switch { Algorithm.Sha1 => 20, Algorithm.Sha256 => 32, _ => 64 };
        return Encoding.ASCII.GetBytes(string.Concat(Enumerable.Repeat(Seed, 7))[..length]);
    }
}
