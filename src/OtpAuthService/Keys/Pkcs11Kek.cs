using System.Buffers.Binary;
using System.Formats.Asn1;
using System.Globalization;
using System.Security.Cryptography;
using Net.Pkcs11Interop.Common;
using Net.Pkcs11Interop.HighLevelAPI;
using Net.Pkcs11Interop.HighLevelAPI.Factories;
using ISession = Net.Pkcs11Interop.HighLevelAPI.ISession;

namespace OtpAuthService.Keys;

/// <summary>
/// KEKs that never leave a hardware security module: AES-256 keys, sensitive and not extractable, which wrap by CKM_AES_GCM inside it (PKCS #11
/// v2.40, 2.12.3). Every version has the same label; its CKA_ID is a number of 8 bytes, and the highest is the newest. Stored as
/// nonce ‖ tag ‖ ciphertext. Beside them lies a P-256 key pair for signing.
/// </summary>
internal sealed class Pkcs11Kek(Pkcs11Options options) : IKekProvider
{
    public const string Prefix = "pkcs11:";

    private const int IdSize = 8;
    private const int KeySize = 32;
    private const int NonceSize = 12;
    private const int TagSize = 16;

    /// <summary>Of P-256 (SEC 1, 2.3.3).</summary>
    private const int CoordinateSize = 32;
    private const int PointSize = 1 + (2 * CoordinateSize);
    private const byte UncompressedPoint = 4;

    /// <summary>A module may block, on a network or a card reader. Whoever waits is let go; the call itself cannot be stopped, and keeps its turn.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private static readonly IObjectAttributeFactory Attributes = Pkcs11Module.Factories.ObjectAttributeFactory;

    private readonly Pkcs11Module module = Pkcs11Module.Of(options.ModuleFile!);
    private ISession? session;
    private int sessionAge;

    /// <summary>Why the token is not asked any more until a restart.</summary>
    private string? refusal;

    /// <exception cref="InvalidDataException">There is no KEK yet; the message says how one is made.</exception>
    /// <inheritdoc/>
    public async ValueTask<string> NewestAsync(CancellationToken stop) =>
        Name(await InTurnAsync(open => Newest(open) ?? throw new InvalidDataException(HowToMakeKeys()), stop));

    public async ValueTask<string> AdvanceAsync(string current, CancellationToken stop)
    {
        var before = TryParse(current, out var id) ? id : 0;
        return Name(await InTurnAsync(open => Newest(open) is { } newest && newest > before ? newest : Generate(open, before), stop));
    }

    public async ValueTask<byte[]> WrapAsync(string version, ReadOnlyMemory<byte> key, ReadOnlyMemory<byte> associatedData, CancellationToken stop) =>
        await InTurnAsync(open => Wrap(open, version, key.Span, associatedData.ToArray()), stop);

    public async ValueTask UnwrapAsync(
        string version, ReadOnlyMemory<byte> wrapped, ReadOnlyMemory<byte> associatedData, Memory<byte> key, CancellationToken stop)
    {
        if (wrapped.Length != NonceSize + TagSize + KeySize)
        {
            throw new CryptographicException("A wrapped key has another length.");
        }

        var unwrapped = await InTurnAsync(open => Unwrap(open, version, wrapped.Span, associatedData.ToArray()), stop);
        try
        {
            unwrapped.CopyTo(key);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(unwrapped);
        }
    }

    public async ValueTask<KekSignature> SignAsync(ReadOnlyMemory<byte> content, CancellationToken stop)
    {
        var digest = SHA256.HashData(content.Span);
        return await InTurnAsync(open => Sign(open, digest), stop);
    }

    /// <summary>The module has one key pair that signs, and it is not replaced: it never leaves the module.</summary>
    public async ValueTask<bool> IsSignerAsync(ReadOnlyMemory<byte> publicKey, CancellationToken stop) =>
        (await InTurnAsync(open => PublicKeyInfo(open, SigningKey(open).Public), stop)).AsSpan().SequenceEqual(publicKey.Span);

    public void Dispose()
    {
        // A module that hangs is left to the end of the process.
        if (module.Turn.Wait(TimeSpan.Zero))
        {
            Disconnect();
            module.Turn.Release();
        }
    }

    private static string Name(ulong id) => Prefix + id.ToString("x16", CultureInfo.InvariantCulture);

    /// <summary>One name per version: capitals and other lengths name none.</summary>
    private static bool TryParse(string version, out ulong id)
    {
        id = 0;
        return version.StartsWith(Prefix, StringComparison.Ordinal)
            && ulong.TryParse(version.AsSpan(Prefix.Length), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out id)
            && Name(id) == version;
    }

    private static byte[] IdBytes(ulong id)
    {
        var bytes = new byte[IdSize];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, id);
        return bytes;
    }

    private ulong? Newest(ISession open)
    {
        var ids = open.FindAllObjects(KekForm())
            .Select(key => open.GetAttributeValue(key, [CKA.CKA_ID])[0].GetValueAsByteArray())
            .Where(id => id.Length == IdSize)
            .Select(id => BinaryPrimitives.ReadUInt64BigEndian(id))
            .ToList();
        return ids.Count > 0 ? ids.Max() : null;
    }

    /// <summary>
    /// The steps between versions are random: two replicas that advance at once make two versions, and not two keys of one name.
    /// </summary>
    private ulong Generate(ISession open, ulong before)
    {
        var id = checked(before + 1 + (ulong)RandomNumberGenerator.GetInt32(int.MaxValue));
        using var mechanism = Pkcs11Module.Factories.MechanismFactory.Create(CKM.CKM_AES_KEY_GEN);
        open.GenerateKey(
            mechanism,
            [
                .. KekForm(), Attributes.Create(CKA.CKA_ID, IdBytes(id)), Attributes.Create(CKA.CKA_PRIVATE, true),
                Attributes.Create(CKA.CKA_ENCRYPT, true), Attributes.Create(CKA.CKA_DECRYPT, true),
                Attributes.Create(CKA.CKA_WRAP, false), Attributes.Create(CKA.CKA_UNWRAP, false),
            ]);
        return id;
    }

    /// <summary>What a KEK is. A key that could be read out of the module is none, whatever its label.</summary>
    private List<IObjectAttribute> KekForm() =>
    [
        Attributes.Create(CKA.CKA_CLASS, CKO.CKO_SECRET_KEY), Attributes.Create(CKA.CKA_KEY_TYPE, CKK.CKK_AES),
        Attributes.Create(CKA.CKA_VALUE_LEN, KeySize), Attributes.Create(CKA.CKA_LABEL, options.KekLabel), Attributes.Create(CKA.CKA_TOKEN, true),
        Attributes.Create(CKA.CKA_SENSITIVE, true), Attributes.Create(CKA.CKA_EXTRACTABLE, false),
    ];

    /// <summary>Null where there is no such version.</summary>
    private IObjectHandle? Find(ISession open, string version)
    {
        if (!TryParse(version, out var id))
        {
            return null;
        }

        var found = open.FindAllObjects([.. KekForm(), Attributes.Create(CKA.CKA_ID, IdBytes(id))]);
        return found.Count < 2 ? found.SingleOrDefault() : throw new KekUnavailableException($"The token holds more than one key {version}.");
    }

    private byte[] Wrap(ISession open, string version, ReadOnlySpan<byte> key, byte[] associatedData)
    {
        var kek = Find(open, version) ?? throw new KekUnavailableException($"The token holds no key {version}.");
        var wrapped = Encrypt(open, kek, key, associatedData);
        // Some modules, in a FIPS mode, take a nonce of their own instead of the one given (SP 800-38D, 8.2): what does not open is not handed out.
        var opened = Decrypt(open, kek, wrapped, associatedData);
        var same = CryptographicOperations.FixedTimeEquals(opened, key);
        CryptographicOperations.ZeroMemory(opened);
        return same ? wrapped : throw new KekUnavailableException($"The PKCS#11 module {options.ModuleFile} does not open what it wrapped.");
    }

    private static byte[] Encrypt(ISession open, IObjectHandle kek, ReadOnlySpan<byte> key, byte[] associatedData)
    {
        var nonce = RandomNumberGenerator.GetBytes(NonceSize);
        var clear = GC.AllocateUninitializedArray<byte>(key.Length, pinned: true);
        try
        {
            key.CopyTo(clear);
            using var mechanism = Gcm(nonce, associatedData);
            var encrypted = open.Encrypt(mechanism, kek, clear);
            return [.. nonce, .. encrypted.AsSpan(key.Length), .. encrypted.AsSpan(0, key.Length)];
        }
        finally
        {
            CryptographicOperations.ZeroMemory(clear);
        }
    }

    /// <summary>The key, pinned: to be zeroed by whoever takes it.</summary>
    private byte[] Unwrap(ISession open, string version, ReadOnlySpan<byte> wrapped, byte[] associatedData)
    {
        var kek = Find(open, version) ?? throw new CryptographicException("The version of the KEK is not known.");
        try
        {
            return Decrypt(open, kek, wrapped, associatedData);
        }
        catch (Pkcs11Exception refused)
        {
            // Modules have many words for a tag that is wrong; SoftHSM's is CKR_GENERAL_ERROR. Where the KEK opens something else, it was this.
            CryptographicOperations.ZeroMemory(Decrypt(open, kek, Encrypt(open, kek, new byte[KeySize], associatedData), associatedData));
            throw new CryptographicException("The wrapped key does not open.", refused);
        }
    }

    private byte[] Decrypt(ISession open, IObjectHandle kek, ReadOnlySpan<byte> wrapped, byte[] associatedData)
    {
        using var mechanism = Gcm(wrapped[..NonceSize].ToArray(), associatedData);
        byte[] encrypted = [.. wrapped[(NonceSize + TagSize)..], .. wrapped.Slice(NonceSize, TagSize)];
        // Some modules ask for room for the tag too.
        var decrypted = GC.AllocateArray<byte>(encrypted.Length, pinned: true);
        var key = GC.AllocateArray<byte>(KeySize, pinned: true);
        try
        {
            var length = module.Decrypt(open, mechanism, kek, encrypted, decrypted);
            decrypted.AsSpan(0, KeySize).CopyTo(key);
            return length == KeySize ? key : throw new CryptographicException("A wrapped key has another length.");
        }
        finally
        {
            CryptographicOperations.ZeroMemory(decrypted);
        }
    }

    private static IMechanism Gcm(byte[] nonce, byte[] associatedData) => Pkcs11Module.Factories.MechanismFactory.Create(
        CKM.CKM_AES_GCM, Pkcs11Module.Factories.MechanismParamsFactory.CreateCkGcmParams(nonce, NonceSize * 8, associatedData, TagSize * 8));

    private KekSignature Sign(ISession open, byte[] digest)
    {
        var (publicKey, privateKey) = SigningKey(open);
        using var mechanism = Pkcs11Module.Factories.MechanismFactory.Create(CKM.CKM_ECDSA);
        var signature = new KekSignature(PublicKeyInfo(open, publicKey), open.Sign(mechanism, privateKey, digest));
        return signature.IsOver(digest)
            ? signature
            : throw new KekUnavailableException($"The private and the public key {options.SigningKeyLabel} in the token do not belong together.");
    }

    private (IObjectHandle Public, IObjectHandle Private) SigningKey(ISession open)
    {
        var publicKeys = open.FindAllObjects(SigningKeyForm(CKO.CKO_PUBLIC_KEY));
        var privateKeys = open.FindAllObjects([.. SigningKeyForm(CKO.CKO_PRIVATE_KEY), Attributes.Create(CKA.CKA_EXTRACTABLE, false)]);
        return (publicKeys.Count, privateKeys.Count) switch
        {
            (1, 1) => (publicKeys[0], privateKeys[0]),
            (0, _) or (_, 0) => throw new InvalidDataException(HowToMakeKeys()),
            _ => throw new KekUnavailableException(
                $"The token holds more than one key pair {options.SigningKeyLabel}: give all but one another label."),
        };
    }

    private List<IObjectAttribute> SigningKeyForm(CKO kind) =>
    [
        Attributes.Create(CKA.CKA_CLASS, kind), Attributes.Create(CKA.CKA_KEY_TYPE, CKK.CKK_EC), Attributes.Create(CKA.CKA_TOKEN, true),
        Attributes.Create(CKA.CKA_LABEL, options.SigningKeyLabel),
    ];

    /// <summary>SubjectPublicKeyInfo of CKA_EC_POINT, which is an OCTET STRING around the point (PKCS #11 v2.40, 2.3.3); some modules leave that out.</summary>
    private byte[] PublicKeyInfo(ISession open, IObjectHandle key)
    {
        var value = open.GetAttributeValue(key, [CKA.CKA_EC_POINT])[0].GetValueAsByteArray();
        try
        {
            var point = value.Length == PointSize ? value : AsnDecoder.ReadOctetString(value, AsnEncodingRules.DER, out _);
            if (point.Length == PointSize && point[0] == UncompressedPoint)
            {
                var q = new ECPoint { X = point[1..(1 + CoordinateSize)], Y = point[(1 + CoordinateSize)..] };
                using var ecdsa = ECDsa.Create(new ECParameters { Curve = ECCurve.NamedCurves.nistP256, Q = q });
                return ecdsa.ExportSubjectPublicKeyInfo();
            }
        }
        catch (Exception malformed) when (malformed is AsnContentException or CryptographicException)
        {
            // Said below.
        }

        throw new KekUnavailableException($"The public key {options.SigningKeyLabel} in the token is not on P-256.");
    }

    private string HowToMakeKeys()
    {
        var tool = $"pkcs11-tool --module {options.ModuleFile} --token-label \"{options.TokenLabel}\" --login";
        return $"The token {options.TokenLabel} lacks the KEK {options.KekLabel} (AES-256, sensitive, not extractable) or the key pair "
            + $"{options.SigningKeyLabel} (P-256). Make both: "
            + $"'{tool} --keygen --key-type AES:32 --label {options.KekLabel} --id 0000000000000001 --sensitive --private' and "
            + $"'{tool} --keypairgen --key-type EC:prime256v1 --label {options.SigningKeyLabel} --id 01 --usage-sign --sensitive --private'.";
    }

    private async Task<T> InTurnAsync<T>(Func<ISession, T> act, CancellationToken stop)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(stop);
        patience.CancelAfter(Patience);
        try
        {
            await module.Turn.WaitAsync(patience.Token);
            var running = Task.Run(() => ActAndReleaseTurn(act), CancellationToken.None);
            return await AnswerAsync(running, patience.Token);
        }
        catch (OperationCanceledException) when (!stop.IsCancellationRequested)
        {
            throw new KekUnavailableException($"The PKCS#11 module {options.ModuleFile} did not answer within {Patience.TotalSeconds:0} s.");
        }
    }

    /// <summary>What comes too late is for nobody, and may be a key.</summary>
    private static async Task<T> AnswerAsync<T>(Task<T> running, CancellationToken patience)
    {
        try
        {
            return await running.WaitAsync(patience);
        }
        catch (OperationCanceledException)
        {
            _ = running.ContinueWith(
                late => CryptographicOperations.ZeroMemory(late.Result as byte[]),
                CancellationToken.None,
                TaskContinuationOptions.OnlyOnRanToCompletion,
                TaskScheduler.Default);
            throw;
        }
    }

    private T ActAndReleaseTurn<T>(Func<ISession, T> act)
    {
        try
        {
            return Act(act);
        }
        finally
        {
            module.Turn.Release();
        }
    }

    /// <summary>
    /// Whatever fails is asked once more over a new connection: a module whose token was taken away finds no key and opens nothing, which is no
    /// verdict on what it was asked.
    /// </summary>
    private T Act<T>(Func<ISession, T> act)
    {
        try
        {
            return act(Connect());
        }
        catch (Exception failure) when (refusal is null && IsOfModule(failure))
        {
            Disconnect();
            module.Leave();
        }

        try
        {
            return act(Connect());
        }
        catch (Exception failure) when (failure is Pkcs11Exception or UnmanagedException or AttributeValueException)
        {
            throw new KekUnavailableException($"The PKCS#11 module {options.ModuleFile} fails: {failure.Message}", failure);
        }
    }

    private static bool IsOfModule(Exception failure) =>
        failure is Pkcs11Exception or UnmanagedException or AttributeValueException or KekUnavailableException or CryptographicException or InvalidDataException;

    private ISession Connect()
    {
        if (refusal is not null)
        {
            throw new KekUnavailableException(refusal);
        }

        if (session is null || sessionAge != module.Age)
        {
            session = null;
            var opened = Slot().OpenSession(SessionType.ReadWrite);
            LogIn(opened);
            (session, sessionAge) = (opened, module.Age);
        }

        return session;
    }

    private ISlot Slot() =>
        module.Enter().GetSlotList(SlotsType.WithTokenPresent).FirstOrDefault(slot => slot.GetTokenInfo().Label == options.TokenLabel)
        ?? throw new KekUnavailableException($"The PKCS#11 module {options.ModuleFile} has no token {options.TokenLabel}.");

    private void LogIn(ISession opened)
    {
        try
        {
            opened.Login(CKU.CKU_USER, options.Pin);
        }
        catch (Pkcs11Exception already) when (already.RV is CKR.CKR_USER_ALREADY_LOGGED_IN)
        {
        }
        catch (Pkcs11Exception refused) when (IsAboutPin(refused.RV))
        {
            // Once and never again: tokens lock themselves after a few wrong PINs.
            refusal = $"The token {options.TokenLabel} refuses the PIN ({refused.RV}). It is not tried again before a restart.";
            opened.Dispose();
            throw new KekUnavailableException(refusal, refused);
        }
    }

    private static bool IsAboutPin(CKR answer) => answer
        is CKR.CKR_PIN_INCORRECT or CKR.CKR_PIN_INVALID or CKR.CKR_PIN_LEN_RANGE or CKR.CKR_PIN_EXPIRED or CKR.CKR_PIN_LOCKED or CKR.CKR_USER_PIN_NOT_INITIALIZED;

    private void Disconnect()
    {
        try
        {
            if (sessionAge == module.Age)
            {
                session?.Dispose();
            }
        }
        catch (Pkcs11Exception)
        {
            // It was lost already.
        }

        session = null;
    }
}
