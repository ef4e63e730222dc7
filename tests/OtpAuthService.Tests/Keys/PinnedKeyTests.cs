using System.Text;
using System.Text.Json;
using Microsoft.Extensions.Options;
using OtpAuthService.Bindings;
using OtpAuthService.Credentials;
using OtpAuthService.Hosting;
using OtpAuthService.Institutions;
using OtpAuthService.Keys;
using OtpAuthService.Verification;
using Algorithm = OtpAuthService.V1.Algorithm;
using CredentialStatus = OtpAuthService.Credentials.CredentialStatus;

namespace OtpAuthService.Tests.Keys;

/// <summary>Keys in the clear: zeroed when their last holder lets go, and never printed.</summary>
[TestFixture]
public class PinnedKeyTests
{
    private const int Entries = 1_000;
    private const string Text = "planted-canary-key-0";

    [Test]
    public void Key_OfTwoHolders_IsZeroedByTheLast()
    {
        var key = NewKey();
        Assert.That(key.TryHold(), Is.True);
        key.Dispose();
        Assert.That(IsThere(key), Is.True);
        key.Dispose();
        Assert.That(key.Bytes.ToArray(), Is.All.Zero);
        Assert.That(key.TryHold(), Is.False);
    }

    [Test]
    public void Cache_Evicting_ZeroesWhatItDrops()
    {
        var cache = NewCache();
        var keys = Enumerable.Range(0, 5 * Entries).Select(i => Keep(cache, i)).ToList();
        Assert.That(keys.Count(IsThere), Is.EqualTo(cache.Count), "the others are zeroed");
        Assert.That(cache.Count, Is.LessThanOrEqualTo(Entries));
    }

    [Test]
    public void Cache_ReplacingForgettingAndForgettingAll_ZeroesWhatItDrops()
    {
        var cache = NewCache();
        var replaced = Keep(cache, 1);
        var forgotten = Keep(cache, 1);
        Assert.That((IsThere(replaced), IsThere(forgotten)), Is.EqualTo((false, true)));
        cache.Forget(Of(1));
        Assert.That(IsThere(forgotten), Is.False);
        var all = Enumerable.Range(0, 100).Select(i => Keep(cache, i)).ToList();
        cache.ForgetAll();
        Assert.That(all.Count(IsThere), Is.Zero);
    }

    /// <summary>While others evict and replace: whoever was given a key has it whole until it lets go.</summary>
    [Test]
    public void Cache_UnderManyThreads_NeverGivesAKeyThatIsBeingZeroed()
    {
        var cache = NewCache();
        var torn = 0;
        var given = 0;
        Parallel.For(0, 400_000, i =>
        {
            var who = i * 7919 % (2 * Entries);
            if (i % 3 == 0)
            {
                Keep(cache, who);
            }
            else if (i % 50 == 1)
            {
                cache.Forget(Of(who));
            }
            else if (cache.TryGet(Of(who), out var bound))
            {
                Interlocked.Increment(ref given);
                if (!IsThere(bound.Credential.Key))
                {
                    Interlocked.Increment(ref torn);
                }

                bound.Credential.Key.Dispose();
            }
        });
        Assert.That(given, Is.GreaterThan(1_000));
        Assert.That(torn, Is.Zero);
    }

    private static IEnumerable<object> Holders()
    {
        var key = NewKey();
        var credential = new KeyedCredential(1, 0, key, Algorithm.Sha1, 6, 30, 0, CredentialStatus.Active, "issued");
        yield return key;
        yield return credential;
        yield return new BoundKey(1, credential);
        yield return new CheckedOtp(credential, FitsCredential: true, default, Step: null, default);
        yield return new PskcCredential("ABCD00000001", Encoding.ASCII.GetBytes(Text), Algorithm.Sha1, 6, 30, null, null, null);
        yield return new IssuedCredential(CredentialId.Parse("ABCD00000001"), $"otpauth://totp/x?secret={Text}", Repeated: false);
        _ = Otp.TryParse("91827364", out var otp);
        yield return otp;
    }

    [TestCaseSource(nameof(Holders))]
    public void Holder_OfAKeyOrAnOtp_DoesNotPrintIt(object holder)
    {
        foreach (var printed in new[] { $"{holder}", Serialize(holder) })
        {
            Assert.That(printed, Does.Not.Contain(Text).And.Not.Contain(Convert.ToBase64String(Encoding.ASCII.GetBytes(Text))).And.Not.Contain("91827364"));
        }
    }

    /// <summary>Not at all is as good.</summary>
    private static string Serialize(object holder)
    {
        try
        {
            return JsonSerializer.Serialize(holder, holder.GetType());
        }
        catch (Exception refused) when (refused is NotSupportedException or InvalidOperationException)
        {
            return refused.Message;
        }
    }

    private static CredentialKeyCache NewCache() => new(Options.Create(new OtpAuthOptions { KeyCacheEntries = Entries }));

    private static PinnedKey NewKey()
    {
        var key = new PinnedKey(Text.Length);
        Encoding.ASCII.GetBytes(Text, key.Bytes);
        return key;
    }

    /// <summary>As the directory does it: the cache has a hold of its own, and the maker lets go.</summary>
    private static PinnedKey Keep(CredentialKeyCache cache, int who)
    {
        var key = NewKey();
        cache.Keep(Of(who), new BoundKey(1, new KeyedCredential(1, 0, key, Algorithm.Sha1, 6, 30, 0, CredentialStatus.Active, "issued")));
        key.Dispose();
        return key;
    }

    private static bool IsThere(PinnedKey key) => Encoding.ASCII.GetString(key.Bytes) == Text;

    private static ContractorRef Of(int who) => new(InstitutionId.Parse("demo"), ContractorId.Parse($"C-{who}"));
}
