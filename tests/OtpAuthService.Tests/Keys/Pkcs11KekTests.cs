using System.Diagnostics;
using System.Security.Cryptography;
using System.Text.RegularExpressions;
using Net.Pkcs11Interop.Common;
using OtpAuthService.Keys;
using OtpAuthService.Tests.Fixtures;

namespace OtpAuthService.Tests.Keys;

/// <summary>What is special about keys in a PKCS#11 module, on SoftHSM.</summary>
internal sealed class Pkcs11KekTests
{
    private static readonly byte[] AssociatedData = "data key 1"u8.ToArray();

    [Test]
    public async Task Newest_OnAnEmptyToken_NamesCommandsThatMakeTheKeys()
    {
        using var token = await SoftHsm.NewAsync();
        using var provider = new Pkcs11Kek(token.Options);

        var refused = await Assert.ThrowsAsync<InvalidDataException>(async () => await provider.NewestAsync(default));
        await Assert.ThrowsAsync<InvalidDataException>(async () => await provider.SignAsync(AssociatedData, default));
        var commands = Regex.Matches(refused!.Message, "'(pkcs11-tool [^']+)'").Select(match => match.Groups[1].Value).ToList();
        Assert.That(commands, Has.Count.EqualTo(2));
        foreach (var command in commands)
        {
            await ChildProcess.RunAsync("bash", ["-c", $"{command} --pin {SoftHsm.Pin}"]);
        }

        var version = await provider.NewestAsync(default);
        var key = RandomNumberGenerator.GetBytes(32);
        Assert.That(version, Is.EqualTo("pkcs11:0000000000000001"));
        Assert.That(await UnwrapAsync(provider, version, await provider.WrapAsync(version, key, AssociatedData, default)), Is.EqualTo(key));
        Assert.That((await provider.SignAsync(AssociatedData, default)).Value, Has.Length.EqualTo(64));
        await AllKeysStayInsideAsync(token, secretKeys: 1);
    }

    [Test]
    public async Task Advance_OnAnEmptyToken_MakesTheFirstVersionButNoSigningKey()
    {
        using var token = await SoftHsm.NewAsync();
        using var provider = new Pkcs11Kek(token.Options);

        var version = await provider.AdvanceAsync("", default);

        Assert.That(await provider.NewestAsync(default), Is.EqualTo(version));
        await Assert.ThrowsAsync<InvalidDataException>(async () => await provider.SignAsync(AssociatedData, default));
    }

    [Test]
    public async Task Advance_OfAVersionThatIsNotThereAnyMore_NeverGoesBack()
    {
        using var token = await SoftHsm.NewWithKeysAsync();
        using var provider = new Pkcs11Kek(token.Options);

        var version = await provider.AdvanceAsync("pkcs11:0000000000ffffff", default);

        Assert.That(string.CompareOrdinal(version, "pkcs11:0000000000ffffff"), Is.Positive);
    }

    [Test]
    public async Task Keys_OfEveryVersion_CannotBeReadOut()
    {
        using var token = await SoftHsm.NewWithKeysAsync();
        using var provider = new Pkcs11Kek(token.Options);
        await provider.AdvanceAsync(await provider.NewestAsync(default), default);

        await AllKeysStayInsideAsync(token, secretKeys: 2);
    }

    [Test]
    public async Task Newest_WhereTheKeyCanBeReadOut_IsRefused()
    {
        using var token = await SoftHsm.NewAsync();
        await token.ToolAsync("--keygen", "--key-type", "AES:32", "--label", "otp-kek", "--id", "0000000000000001", "--extractable");
        using var provider = new Pkcs11Kek(token.Options);

        await Assert.ThrowsAsync<InvalidDataException>(async () => await provider.NewestAsync(default));
    }

    [Test]
    public async Task Wrap_WhereTwoKeysHaveOneId_IsUnavailable()
    {
        using var token = await SoftHsm.NewWithKeysAsync();
        await token.ToolAsync("--keygen", "--key-type", "AES:32", "--label", "otp-kek", "--id", "0000000000000001", "--sensitive", "--private");
        using var provider = new Pkcs11Kek(token.Options);

        var refused = await Assert.ThrowsAsync<KekUnavailableException>(
            async () => await provider.WrapAsync("pkcs11:0000000000000001", new byte[32], AssociatedData, default));

        Assert.That(refused!.Message, Does.Contain("more than one key"));
    }

    [Test]
    public async Task Sign_WhereTheKeyPairDoesNotBelongTogether_IsUnavailable()
    {
        using var token = await SoftHsm.NewWithKeysAsync();
        await token.ToolAsync("--keypairgen", "--key-type", "EC:prime256v1", "--label", "other", "--id", "02", "--usage-sign", "--sensitive", "--private");
        await token.ToolAsync("--delete-object", "--type", "pubkey", "--label", "otp-audit-signing");
        var point = Path.GetTempFileName();
        await token.ToolAsync("--read-object", "--type", "pubkey", "--label", "other", "--output-file", point);
        await token.ToolAsync("--write-object", point, "--type", "pubkey", "--label", "otp-audit-signing", "--id", "01");
        File.Delete(point);
        using var provider = new Pkcs11Kek(token.Options);

        var refused = await Assert.ThrowsAsync<KekUnavailableException>(async () => await provider.SignAsync(AssociatedData, default));

        Assert.That(refused!.Message, Does.Contain("do not belong together"));
    }

    [Test]
    public async Task Sign_WithAKeyOnAnotherCurve_IsUnavailable()
    {
        using var token = await SoftHsm.NewAsync();
        await token.ToolAsync(
            "--keypairgen", "--key-type", "EC:secp384r1", "--label", "otp-audit-signing", "--id", "01", "--usage-sign", "--sensitive", "--private");
        using var provider = new Pkcs11Kek(token.Options);

        var refused = await Assert.ThrowsAsync<KekUnavailableException>(async () => await provider.SignAsync(AssociatedData, default));

        Assert.That(refused!.Message, Does.Contain("P-256"));
    }

    [Test]
    public async Task Newest_WithAWrongPin_IsRefusedAndThePinIsTriedOnce()
    {
        const string wrong = "31337000";
        using var token = await SoftHsm.NewWithKeysAsync();
        var options = token.Options;
        options.Pin = wrong;
        using var provider = new Pkcs11Kek(options);

        var first = await Assert.ThrowsAsync<KekUnavailableException>(async () => await provider.NewestAsync(default));
        // With the right PIN now: were it tried again, it would succeed.
        options.Pin = SoftHsm.Pin;
        var second = await Assert.ThrowsAsync<KekUnavailableException>(async () => await provider.NewestAsync(default));

        Assert.That(first!.Message, Does.Contain("CKR_PIN_INCORRECT"));
        Assert.That(second!.Message, Is.EqualTo(first.Message));
        Assert.That(first.ToString(), Does.Not.Contain(wrong));
        using var restarted = new Pkcs11Kek(options);
        Assert.That(await restarted.NewestAsync(default), Is.Not.Empty);
    }

    [Test]
    public async Task Newest_WithoutTheModuleOrTheToken_IsUnavailable()
    {
        using var token = await SoftHsm.NewWithKeysAsync();
        var noModule = Path.GetTempFileName();
        var gone = token.Options;
        gone.ModuleFile = "/usr/lib/softhsm/no-such-module.so";
        var notAModule = token.Options;
        notAModule.ModuleFile = noModule;
        var elsewhere = token.Options;
        elsewhere.TokenLabel = "no such token";

        foreach (var options in new[] { gone, notAModule, elsewhere })
        {
            using var provider = new Pkcs11Kek(options);
            var refused = await Assert.ThrowsAsync<KekUnavailableException>(async () => await provider.NewestAsync(default));
            Assert.That(refused!.Message, Does.Contain(options.ModuleFile));
            Assert.That(refused.ToString(), Does.Not.Contain(SoftHsm.Pin));
        }

        File.Delete(noModule);
    }

    [Test]
    public async Task Calls_WhileTheTokenIsAway_AreUnavailableAndSucceedWhenItIsBack()
    {
        using var token = await SoftHsm.NewWithKeysAsync();
        using var provider = new Pkcs11Kek(token.Options);
        var version = await provider.NewestAsync(default);
        var key = RandomNumberGenerator.GetBytes(32);
        var wrapped = await provider.WrapAsync(version, key, AssociatedData, default);

        token.TakeAway();
        await Assert.ThrowsAsync<KekUnavailableException>(async () => await UnwrapAsync(provider, version, wrapped));
        await Assert.ThrowsAsync<KekUnavailableException>(async () => await provider.NewestAsync(default));
        await Assert.ThrowsAsync<KekUnavailableException>(async () => await provider.AdvanceAsync(version, default));
        await Assert.ThrowsAsync<KekUnavailableException>(async () => await provider.SignAsync(AssociatedData, default));
        token.BringBack();

        Assert.That(await UnwrapAsync(provider, version, wrapped), Is.EqualTo(key));
        Assert.That(await provider.NewestAsync(default), Is.EqualTo(version));
    }

    [Test]
    public async Task Calls_OfAModuleThatHangs_AreUnavailableWithinTheirBoundAndSucceedAfterwards()
    {
        using var token = await SoftHsm.NewWithKeysAsync();
        using var provider = new Pkcs11Kek(token.Options);
        await token.HangAsync();
        try
        {
            // The first hangs inside the module, the second waits for its turn.
            var calls = new Func<Task>[] { async () => await provider.NewestAsync(default), async () => await provider.SignAsync(AssociatedData, default) };
            var started = Stopwatch.GetTimestamp();
            var refused = await Task.WhenAll(calls.Select(call => Assert.ThrowsAsync<KekUnavailableException>(call)));
            Assert.That(refused.Select(refusal => refusal!.Message), Is.All.Contains("did not answer within 5 s"));
            Assert.That(Stopwatch.GetElapsedTime(started), Is.LessThan(TimeSpan.FromSeconds(8)));
        }
        finally
        {
            await token.ContinueAsync();
        }

        Assert.That(await provider.NewestAsync(default), Is.EqualTo("pkcs11:0000000000000001"));
    }

    private static async Task<byte[]> UnwrapAsync(Pkcs11Kek provider, string version, byte[] wrapped)
    {
        var key = new byte[32];
        await provider.UnwrapAsync(version, wrapped, AssociatedData, key, default);
        return key;
    }

    /// <summary>Asks the module itself, in the session of a user who is logged in.</summary>
    private static async Task AllKeysStayInsideAsync(SoftHsm token, int secretKeys)
    {
        var module = Pkcs11Module.Of(SoftHsm.ModuleFile);
        await module.Turn.WaitAsync();
        try
        {
            using var session = module.Enter().GetSlotList(SlotsType.WithTokenPresent)
                .Single(slot => slot.GetTokenInfo().Label == token.Label).OpenSession(SessionType.ReadOnly);
            foreach (var (kind, count) in new[] { (CKO.CKO_SECRET_KEY, secretKeys), (CKO.CKO_PRIVATE_KEY, 1) })
            {
                var found = session.FindAllObjects([Pkcs11Module.Factories.ObjectAttributeFactory.Create(CKA.CKA_CLASS, kind)]);
                Assert.That(found, Has.Count.EqualTo(count));
                foreach (var key in found)
                {
                    Assert.That(session.GetAttributeValue(key, [CKA.CKA_VALUE])[0].CannotBeRead, Is.True);
                    Assert.That(session.GetAttributeValue(key, [CKA.CKA_NEVER_EXTRACTABLE])[0].GetValueAsBool(), Is.True);
                    Assert.That(session.GetAttributeValue(key, [CKA.CKA_ALWAYS_SENSITIVE])[0].GetValueAsBool(), Is.True);
                }
            }
        }
        finally
        {
            module.Turn.Release();
        }
    }
}
