using System.ComponentModel.DataAnnotations;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using OtpAuthService.Keys;
using OtpAuthService.Tests.Fixtures;

namespace OtpAuthService.Tests.Keys;

/// <summary>What is special about keys in a remote key management service.</summary>
internal sealed class TransitKekTests
{
    private static readonly byte[] AssociatedData = "data key 1"u8.ToArray();

    private TransitStandIn server = null!;

    [SetUp]
    public async Task StartAsync() => server = await TransitStandIn.StartNewAsync();

    [TearDown]
    public async Task StopAsync() => await server.DisposeAsync();

    [Test]
    public async Task Versions_OfAKey_AreNumberedAsThere()
    {
        using var provider = new TransitKek(server.Options);

        Assert.That(await provider.NewestAsync(default), Is.EqualTo("transit:1"));
        Assert.That(await provider.AdvanceAsync("transit:1", default), Is.EqualTo("transit:2"));
        Assert.That(await provider.AdvanceAsync("transit:1", default), Is.EqualTo("transit:2"));
        var wrapped = await provider.WrapAsync("transit:2", new byte[32], AssociatedData, default);
        Assert.That(Encoding.ASCII.GetString(wrapped), Does.StartWith("vault:v2:"));
        Assert.That(server.Requests.Count(request => request == "POST /v1/transit/keys/otp-kek/rotate"), Is.EqualTo(1));
    }

    [Test]
    public async Task Call_WithAWrongToken_IsUnavailableAndNotRepeated()
    {
        const string wrong = "hvs.wrong-0123456789";
        var options = server.Options;
        options.Token = wrong;
        using var provider = new TransitKek(options);

        var refused = await Assert.ThrowsAsync<KekUnavailableException>(async () => await provider.NewestAsync(default));

        Assert.That(refused!.Message, Does.Contain("token"));
        Assert.That(refused.ToString(), Does.Not.Contain(wrong));
        Assert.That(server.Requests, Has.Count.EqualTo(1));
    }

    [Test]
    public async Task Call_AfterTheTokenWasExchanged_TakesTheNewOne()
    {
        var options = server.Options;
        options.Token = "hvs.expired";
        using var provider = new TransitKek(options);
        await Assert.ThrowsAsync<KekUnavailableException>(async () => await provider.NewestAsync(default));

        options.Token = TransitStandIn.Token;

        Assert.That(await provider.NewestAsync(default), Is.EqualTo("transit:1"));
    }

    [Test]
    public async Task Call_WithANamespace_SaysSo()
    {
        server.Namespace = "bank/otp";
        var options = server.Options;
        using var without = new TransitKek(options);
        await Assert.ThrowsAsync<KekUnavailableException>(async () => await without.NewestAsync(default));

        options.Namespace = "bank/otp";
        using var with = new TransitKek(options);

        Assert.That(await with.NewestAsync(default), Is.EqualTo("transit:1"));
    }

    [Test]
    public async Task Calls_WhileTheServerIsGone_AreUnavailableAndSucceedWhenItIsBack()
    {
        using var provider = new TransitKek(server.Options);
        var version = await provider.NewestAsync(default);
        var key = RandomNumberGenerator.GetBytes(32);
        var wrapped = await provider.WrapAsync(version, key, AssociatedData, default);

        await server.StopAsync();
        await AllAreUnavailableAsync(provider, version, wrapped);
        await server.StartAsync();

        Assert.That(await UnwrapAsync(provider, version, wrapped), Is.EqualTo(key));
    }

    [Test]
    public async Task Call_AnsweredWith503TwiceThenWell_Succeeds()
    {
        using var provider = new TransitKek(server.Options);
        server.FailNext(HttpStatusCode.ServiceUnavailable, HttpStatusCode.ServiceUnavailable);

        Assert.That(await provider.NewestAsync(default), Is.EqualTo("transit:1"));
        Assert.That(server.Requests, Has.Count.EqualTo(3));
    }

    [TestCase(HttpStatusCode.ServiceUnavailable)]
    [TestCase(HttpStatusCode.TooManyRequests)]
    [TestCase(HttpStatusCode.InternalServerError)]
    [TestCase(HttpStatusCode.BadRequest)]
    [TestCase(HttpStatusCode.TemporaryRedirect)]
    [TestCase(HttpStatusCode.NotFound)]
    public async Task Calls_AnsweredWithAnErrorEveryTime_AreUnavailableAndNoVerdict(HttpStatusCode status)
    {
        using var provider = new TransitKek(server.Options);
        var version = await provider.NewestAsync(default);
        var wrapped = await provider.WrapAsync(version, new byte[32], AssociatedData, default);

        server.FailNext([.. Enumerable.Repeat(status, 30)]);

        await AllAreUnavailableAsync(provider, version, wrapped);
    }

    [Test]
    public async Task Call_OfAServerThatHangs_IsUnavailableWithinItsBound()
    {
        using var provider = new TransitKek(server.Options);
        server.Hangs = true;

        var refused = await Assert.ThrowsAsync<KekUnavailableException>(async () => await provider.NewestAsync(default));

        Assert.That(refused!.ToString(), Does.Not.Contain(TransitStandIn.Token));
        Assert.That(server.Requests, Has.Count.EqualTo(3));
    }

    [Test]
    public async Task Unwrap_WhereTheServerRefusesWith500_IsAVerdictAndNotRepeated()
    {
        using var provider = new TransitKek(server.Options);
        server.RefusalOfCiphertexts = HttpStatusCode.InternalServerError;
        var wrapped = await provider.WrapAsync("transit:1", new byte[32], "other"u8.ToArray(), default);
        var before = server.Requests.Count;

        await Assert.ThrowsAsync<CryptographicException>(async () => await UnwrapAsync(provider, "transit:1", wrapped));

        Assert.That(server.Requests, Has.Count.EqualTo(before + 1));
    }

    [Test]
    public async Task Wrap_OnAServerThatPassesOverAssociatedData_IsUnavailable()
    {
        using var provider = new TransitKek(server.Options);
        server.PassesOverAssociatedData = true;

        var refused = await Assert.ThrowsAsync<KekUnavailableException>(
            async () => await provider.WrapAsync("transit:1", new byte[32], AssociatedData, default));

        Assert.That(refused!.Message, Does.Contain("associated_data"));
    }

    [Test]
    public async Task Newest_OfAKeyThatCanBeExported_IsUnavailable()
    {
        using var provider = new TransitKek(server.Options);
        server.KekIsExportable = true;

        var refused = await Assert.ThrowsAsync<KekUnavailableException>(async () => await provider.NewestAsync(default));

        Assert.That(refused!.Message, Does.Contain("exported"));
    }

    [Test]
    public async Task Newest_OfAKeyOfAnotherType_IsUnavailable()
    {
        var options = server.Options;
        options.KekName = options.SigningKeyName;
        using var provider = new TransitKek(options);

        var refused = await Assert.ThrowsAsync<KekUnavailableException>(async () => await provider.NewestAsync(default));

        Assert.That(refused!.Message, Does.Contain("aes256-gcm96"));
    }

    [Test]
    public async Task Newest_WithoutKeys_NamesCommandsThatMakeThem()
    {
        using var provider = new TransitKek(server.Options);
        server.DeleteKeys();

        var refused = await Assert.ThrowsAsync<KekUnavailableException>(async () => await provider.NewestAsync(default));

        Assert.That(refused!.Message, Does.Contain("vault write -f transit/keys/otp-kek type=aes256-gcm96"));
        Assert.That(refused.Message, Does.Contain("vault write -f transit/keys/otp-audit-signing type=ecdsa-p256"));
    }

    [Test]
    public async Task Sign_AfterTheSigningKeyWasRotated_GivesTheNewPublicKey()
    {
        using var provider = new TransitKek(server.Options);
        var before = await provider.SignAsync(AssociatedData, default);
        server.RotateSigningKey(ECCurve.NamedCurves.nistP256);

        var after = await provider.SignAsync(AssociatedData, default);

        Assert.That(after.PublicKey, Is.Not.EqualTo(before.PublicKey));
        Assert.That(after.IsOver(SHA256.HashData(AssociatedData)), Is.True);
    }

    [Test]
    public async Task Sign_WithAKeyOnAnotherCurve_IsUnavailable()
    {
        using var provider = new TransitKek(server.Options);
        server.RotateSigningKey(ECCurve.NamedCurves.nistP384);

        await Assert.ThrowsAsync<KekUnavailableException>(async () => await provider.SignAsync(AssociatedData, default));
    }

    [Test]
    public async Task Call_OverTls_BelievesTheGivenRootsOnly()
    {
        using var authority = new TestAuthority();
        using var stranger = new TestAuthority("Another CA");
        await using var secure = await TransitStandIn.StartNewAsync(authority.IssueServer());
        var options = secure.Options;

        options.TrustFile = authority.BundleFile;
        using var trusting = new TransitKek(options);
        Assert.That(await trusting.NewestAsync(default), Is.EqualTo("transit:1"));

        foreach (var trust in new[] { stranger.BundleFile, null })
        {
            options.TrustFile = trust;
            using var doubting = new TransitKek(options);
            await Assert.ThrowsAsync<KekUnavailableException>(async () => await doubting.NewestAsync(default));
        }

        options.TrustFile = "/no/such/file";
        Assert.Throws<InvalidDataException>(() => new TransitKek(options).Dispose());
    }

    [TestCase("http://127.0.0.1:8200", true)]
    [TestCase("http://[::1]:8200", true)]
    [TestCase("https://vault.example:8200", true)]
    [TestCase("https://vault.example/behind/a/path", true)]
    [TestCase("http://vault.example:8200", false)]
    [TestCase("http://localhost:8200", false)]
    [TestCase("http://127.0.0.1.example:8200", false)]
    [TestCase("http://192.0.2.1:8200", false)]
    [TestCase("http://127.0.0.1@192.0.2.1:8200", false)]
    [TestCase("ftp://127.0.0.1", false)]
    [TestCase("vault.example:8200", false)]
    [TestCase("", false)]
    [TestCase(null, false)]
    public void Address_OverPlainHttp_IsTakenToLoopbackOnly(string? address, bool taken)
    {
        var options = new TransitOptions { Address = address, Token = "hvs.any" };

        Assert.That(options.Validate(new ValidationContext(options)).Any(), Is.EqualTo(!taken));
        if (taken)
        {
            new TransitKek(options).Dispose();
        }
        else
        {
            Assert.Throws<InvalidDataException>(() => new TransitKek(options).Dispose());
        }
    }

    [Test]
    public void Options_ThatWouldLeadElsewhere_AreRefused()
    {
        var good = new TransitOptions { Address = "https://vault.example", Token = "hvs.any" };
        Assert.That(good.Validate(new ValidationContext(good)), Is.Empty);

        foreach (var bad in new TransitOptions[]
        {
            new() { Address = good.Address, Token = "" },
            new() { Address = good.Address, Token = "hvs.any\r\nX-Vault-Namespace: root" },
            new() { Address = good.Address, Token = "hvs.any", Mount = "../sys" },
            new() { Address = good.Address, Token = "hvs.any", Mount = "" },
            new() { Address = good.Address, Token = "hvs.any", KekName = "otp-kek/rotate" },
            new() { Address = good.Address, Token = "hvs.any", KekName = ".." },
            new() { Address = good.Address, Token = "hvs.any", SigningKeyName = "a?b" },
            new() { Address = good.Address, Token = "hvs.any", Namespace = "a b" },
            new() { Address = good.Address, Token = "hvs.any", TrustFile = "/no/such/file" },
        })
        {
            var found = bad.Validate(new ValidationContext(bad)).ToList();
            Assert.That(found, Has.Count.EqualTo(1));
            Assert.That(found[0].ErrorMessage, Does.Not.Contain("hvs"));
        }
    }

    private static async Task AllAreUnavailableAsync(TransitKek provider, string version, byte[] wrapped)
    {
        foreach (var call in new Func<Task>[]
        {
            async () => await provider.NewestAsync(default),
            async () => await provider.AdvanceAsync(version, default),
            async () => await provider.WrapAsync(version, new byte[32], AssociatedData, default),
            async () => await UnwrapAsync(provider, version, wrapped),
            async () => await provider.SignAsync(AssociatedData, default),
        })
        {
            var refused = await Assert.ThrowsAsync<KekUnavailableException>(call);
            Assert.That(refused!.ToString(), Does.Not.Contain(TransitStandIn.Token));
        }
    }

    private static async Task<byte[]> UnwrapAsync(TransitKek provider, string version, byte[] wrapped)
    {
        var key = new byte[32];
        await provider.UnwrapAsync(version, wrapped, AssociatedData, key, default);
        return key;
    }
}
