using System.Security.Cryptography;
using System.Xml.Linq;
using static OtpAuthService.Credentials.PskcException;
using static OtpAuthService.Credentials.PskcXml;

namespace OtpAuthService.Credentials;

/// <summary>
/// Opens the encrypted keys of one PSKC file: AES-CBC under a pre-shared key, each with a MAC (RFC 6030 section 6.1). The MAC is required
/// and checked before anything is decrypted: CBC alone would let whoever carries the file change keys unseen.
/// It covers the encrypted key only, not the Id beside it; binding those would take the container's signature.
/// </summary>
internal sealed class PskcEncryption : IDisposable
{
    private const int BlockBytes = 16;

    // The MAC key is encrypted without a MAC of its own: by trying 256 IVs, a forger can steer one block of it to the empty key.
    private const int MinMacKeyBytes = 16;

    private readonly byte[] preSharedKey;
    private readonly byte[] macKey;
    private readonly HashAlgorithmName macHash;

    private PskcEncryption(byte[] preSharedKey, byte[] macKey, HashAlgorithmName macHash)
    {
        this.preSharedKey = preSharedKey;
        this.macKey = macKey;
        this.macHash = macHash;
    }

    /// <summary>Prepares for the keys of <paramref name="container"/>; null where they are plain and no key was given.</summary>
    /// <exception cref="PskcException">File and key do not belong together, or the file asks for what is not supported.</exception>
    public static PskcEncryption? Open(XElement container, ReadOnlySpan<byte> preSharedKey)
    {
        var encryptionKey = Optional(container, Pskc + "EncryptionKey", WholeFile);
        var macMethod = Optional(container, Pskc + "MACMethod", WholeFile);
        RefuseOtherThanPreShared(encryptionKey);

        var isEncrypted = encryptionKey is not null || macMethod is not null || container.Descendants(Pskc + "EncryptedValue").Any();
        return (isEncrypted, preSharedKey.IsEmpty) switch
        {
            (false, true) => null,
            (false, false) => throw new PskcException(WholeFile, "has plain keys, but a pre-shared key was given"),
            (true, true) => throw new PskcException(WholeFile, $"has encrypted keys: give the pre-shared key{KeyName(encryptionKey)}"),
            (true, false) => OpenEncrypted(macMethod, preSharedKey),
        };
    }

    /// <summary>Checks the MAC of a Secret element and decrypts it. The caller zeroes what it gets.</summary>
    public byte[] Decrypt(XElement secret, string where)
    {
        var encrypted = Required(secret, Pskc + "EncryptedValue", where);
        var stated = Optional(secret, Pskc + "ValueMAC", where)
            ?? throw new PskcException(where, "has an encrypted key without a ValueMAC, so it may have been altered");

        var cipher = CipherValue(encrypted, preSharedKey, where);
        var mac = CryptographicOperations.HmacData(macHash, macKey, cipher);
        if (!CryptographicOperations.FixedTimeEquals(mac, Base64(stated, where)))
        {
            throw new PskcException(where, "does not match its MAC: the pre-shared key is another one, or the file was altered");
        }

        return DecryptCbc(cipher, preSharedKey, where);
    }

    public void Dispose()
    {
        CryptographicOperations.ZeroMemory(preSharedKey);
        CryptographicOperations.ZeroMemory(macKey);
    }

    private static PskcEncryption OpenEncrypted(XElement? macMethod, ReadOnlySpan<byte> preSharedKey)
    {
        if (macMethod is null)
        {
            throw new PskcException(WholeFile, "has encrypted keys without a MACMethod, so they may have been altered");
        }

        var macHash = MacHash(Attribute(macMethod, "Algorithm", WholeFile));
        var key = preSharedKey.ToArray();
        try
        {
            return new PskcEncryption(key, MacKey(macMethod, key), macHash);
        }
        catch
        {
            CryptographicOperations.ZeroMemory(key);
            throw;
        }
    }

    // RFC 6030 section 6.1.1: a MAC key of its own, encrypted like the keys. One key for both uses, or one held elsewhere, is not supported.
    private static byte[] MacKey(XElement macMethod, byte[] preSharedKey)
    {
        var encrypted = Optional(macMethod, Pskc + "MACKey", WholeFile)
            ?? throw new PskcException(WholeFile, "has a MACMethod without a MACKey; a MACKeyReference is not supported");
        var macKey = DecryptCbc(CipherValue(encrypted, preSharedKey, WholeFile), preSharedKey, WholeFile);
        if (macKey.Length < MinMacKeyBytes)
        {
            CryptographicOperations.ZeroMemory(macKey);
            throw new PskcException(
                WholeFile,
                $"has a MACKey of less than {8 * MinMacKeyBytes} bits: the pre-shared key is another one, or the file was altered");
        }

        return macKey;
    }

    private static void RefuseOtherThanPreShared(XElement? encryptionKey)
    {
        foreach (var child in encryptionKey?.Elements() ?? [])
        {
            var refusal = child.Name.LocalName switch
            {
                "KeyName" when child.Name.Namespace == Dsig => null,
                "DerivedKey" => "has keys encrypted under a password (DerivedKey, PBKDF2)",
                "X509Data" => "has keys encrypted for a certificate (X509Data)",
                var other => $"names its encryption key by {Quote(other)}",
            };
            if (refusal is not null)
            {
                throw new PskcException(WholeFile, refusal + "; ask the supplier for one under a pre-shared key (KeyName)");
            }
        }
    }

    private static string KeyName(XElement? encryptionKey) =>
        encryptionKey?.Element(Dsig + "KeyName") is { } name ? " " + Quote(name.Value.Trim()) : "";

    private static HashAlgorithmName MacHash(string algorithm) => algorithm switch
    {
        "http://www.w3.org/2000/09/xmldsig#hmac-sha1" => HashAlgorithmName.SHA1,
        "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256" => HashAlgorithmName.SHA256,
        "http://www.w3.org/2001/04/xmldsig-more#hmac-sha512" => HashAlgorithmName.SHA512,
        _ => throw new PskcException(
            WholeFile,
            $"has the MACMethod {Quote(algorithm)}; HMAC-SHA1, HMAC-SHA256 and HMAC-SHA512 are supported"),
    };

    /// <summary>The IV and the ciphertext of an xenc:EncryptedDataType, after a check that the given key is one for its algorithm.</summary>
    private static byte[] CipherValue(XElement encrypted, byte[] preSharedKey, string where)
    {
        var algorithm = Attribute(Required(encrypted, Xenc + "EncryptionMethod", where), "Algorithm", where);
        var (name, keyBytes) = algorithm switch
        {
            "http://www.w3.org/2001/04/xmlenc#aes128-cbc" => ("AES-128-CBC", 16),
            "http://www.w3.org/2001/04/xmlenc#aes256-cbc" => ("AES-256-CBC", 32),
            _ => throw new PskcException(where, $"is encrypted with {Quote(algorithm)}; AES-128-CBC and AES-256-CBC are supported"),
        };
        if (preSharedKey.Length != keyBytes)
        {
            throw new PskcException(
                where,
                $"is encrypted with {name}, which takes a pre-shared key of {keyBytes} bytes, but {preSharedKey.Length} were given");
        }

        var cipher = Base64(Required(Required(encrypted, Xenc + "CipherData", where), Xenc + "CipherValue", where), where);
        return cipher.Length >= 2 * BlockBytes && cipher.Length % BlockBytes == 0
            ? cipher
            : throw new PskcException(where, "has a CipherValue that is not an IV and whole blocks");
    }

    private static byte[] DecryptCbc(byte[] cipher, byte[] key, string where)
    {
        using var aes = Aes.Create();
        aes.Key = key;
        try
        {
            // XML Encryption section 5.2 pads with arbitrary bytes before the length byte: ISO 10126, of which PKCS #7 is a case.
            return aes.DecryptCbc(cipher.AsSpan(BlockBytes), cipher.AsSpan(0, BlockBytes), PaddingMode.ISO10126);
        }
        catch (CryptographicException)
        {
            throw new PskcException(where, "cannot be decrypted: the pre-shared key is another one, or the file was altered");
        }
    }
}
