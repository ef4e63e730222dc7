using System.Security.Cryptography;
using System.Xml.Linq;
using static OtpAuthService.Credentials.RefusedFileException;
using static OtpAuthService.Credentials.Pskc.PskcXml;

namespace OtpAuthService.Credentials.Pskc;

/// <summary>
/// Opens the encrypted keys of one PSKC file: AES-CBC under a pre-shared key or one that is derived from a password, each with a MAC (RFC 6030
/// sections 6.1 and 6.2). The MAC is required and checked before anything is decrypted: CBC alone would let whoever carries the file change keys unseen.
/// It covers the encrypted key only, not the Id beside it; binding those would take the container's signature.
/// </summary>
internal sealed class PskcEncryption(FileSecrets secrets) : IDisposable
{
    private const int BlockBytes = 16;

    // The MAC key is encrypted without a MAC of its own: by trying 256 IVs, a forger can steer one block of it to the empty key.
    private const int MinMacKeyBytes = 16;

    private XElement? encryptionKey;
    private XElement? macMethod;
    private bool isOpen;
    private byte[] key = [];
    private byte[] macKey = [];
    private HashAlgorithmName macHash;

    /// <summary>Whether the keys are encrypted; known once it is open.</summary>
    public bool IsUsed => key.Length > 0;

    private string Secret => secrets.Password.IsEmpty ? "pre-shared key" : "password";

    /// <summary>Takes an EncryptionKey or MACMethod of the container.</summary>
    public void Declare(XElement child)
    {
        ref var place = ref child.Name.LocalName == "EncryptionKey" ? ref encryptionKey : ref macMethod;
        place = place is null ? child : throw new RefusedFileException(WholeFile, $"has more than one {child.Name.LocalName} in its KeyContainer");
    }

    /// <summary>Before the first package: finds out whether keys are encrypted, and whether what was given fits that.</summary>
    /// <exception cref="RefusedFileException">File and secret do not belong together, or the file asks for what is not supported.</exception>
    public void OpenFor(XElement package)
    {
        if (isOpen)
        {
            return;
        }

        isOpen = true;
        var derived = encryptionKey is null ? null : PskcPassword.Find(encryptionKey);
        RefuseUnknownKey(encryptionKey);
        var isEncrypted = encryptionKey is not null || macMethod is not null || package.Descendants(Ns + "EncryptedValue").Any();
        RequireFittingSecret(isEncrypted, derived);
        if (isEncrypted)
        {
            key = derived is null ? secrets.PreSharedKey.ToArray() : PskcPassword.Derive(derived, secrets.Password);
            OpenMac();
        }
    }

    /// <summary>Checks the MAC of a Secret element and decrypts it. The caller zeroes what it gets.</summary>
    public byte[] Decrypt(XElement secret, string where)
    {
        var encrypted = Required(secret, Ns + "EncryptedValue", where);
        var stated = Optional(secret, Ns + "ValueMAC", where)
            ?? throw new RefusedFileException(where, "has an encrypted key without a ValueMAC, so it may have been altered");

        var cipher = CipherValue(encrypted, where);
        if (!CryptographicOperations.FixedTimeEquals(Mac(cipher), Base64(stated, where)))
        {
            throw new RefusedFileException(where, $"does not match its MAC: the {Secret} is another one, or the file was altered");
        }

        return DecryptCbc(cipher, where);
    }

    /// <summary>The MAC of an encrypted key: of its IV and ciphertext together, as they stand in CipherValue.</summary>
    public byte[] Mac(ReadOnlySpan<byte> cipherValue) => CryptographicOperations.HmacData(macHash, macKey, cipherValue);

    public void Dispose()
    {
        CryptographicOperations.ZeroMemory(key);
        CryptographicOperations.ZeroMemory(macKey);
    }

    private void RequireFittingSecret(bool isEncrypted, XElement? derived)
    {
        var wrong = (isEncrypted, derived is not null, !secrets.PreSharedKey.IsEmpty, !secrets.Password.IsEmpty) switch
        {
            (false, _, true, _) => "has plain keys, but a pre-shared key was given",
            (false, _, _, true) => "has plain keys, but a password was given",
            (true, true, _, false) => "has keys encrypted under a password (PBKDF2): give the password",
            (true, false, false, _) => $"has encrypted keys: give the pre-shared key{KeyName()}",
            _ => null,
        };
        if (wrong is not null)
        {
            throw new RefusedFileException(WholeFile, wrong);
        }
    }

    private string KeyName() => encryptionKey?.Element(Dsig + "KeyName") is { } name ? " " + Quote(Text(name, WholeFile)) : "";

    // RFC 6030 section 6.1.1: a MAC key of its own, encrypted like the keys. One key for both uses, or one held elsewhere, is not supported.
    private void OpenMac()
    {
        if (macMethod is null)
        {
            throw new RefusedFileException(WholeFile, "has encrypted keys without a MACMethod, so they may have been altered");
        }

        macHash = MacHash(Attribute(macMethod, "Algorithm", WholeFile));
        var encrypted = Optional(macMethod, Ns + "MACKey", WholeFile)
            ?? throw new RefusedFileException(WholeFile, "has a MACMethod without a MACKey; a MACKeyReference is not supported");
        macKey = DecryptCbc(CipherValue(encrypted, WholeFile), WholeFile);
        if (macKey.Length < MinMacKeyBytes)
        {
            throw new RefusedFileException(
                WholeFile, $"has a MACKey of less than {8 * MinMacKeyBytes} bits: the {Secret} is another one, or the file was altered");
        }
    }

    private static void RefuseUnknownKey(XElement? encryptionKey)
    {
        foreach (var child in encryptionKey?.Elements() ?? [])
        {
            var refusal = child.Name.LocalName switch
            {
                "KeyName" when child.Name.Namespace == Dsig => null,
                "DerivedKey" => null,
                "X509Data" => "has keys encrypted for a certificate (X509Data)",
                var other => $"names its encryption key by {Quote(other)}",
            };
            if (refusal is not null)
            {
                throw new RefusedFileException(WholeFile, refusal + "; ask the supplier for one under a pre-shared key (KeyName) or a password (DerivedKey)");
            }
        }
    }

    private static HashAlgorithmName MacHash(string algorithm) => algorithm switch
    {
        "http://www.w3.org/2000/09/xmldsig#hmac-sha1" => HashAlgorithmName.SHA1,
        "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256" => HashAlgorithmName.SHA256,
        "http://www.w3.org/2001/04/xmldsig-more#hmac-sha512" => HashAlgorithmName.SHA512,
        _ => throw new RefusedFileException(
            WholeFile,
            $"has the MACMethod {Quote(algorithm)}; HMAC-SHA1, HMAC-SHA256 and HMAC-SHA512 are supported"),
    };

    /// <summary>The IV and the ciphertext of an xenc:EncryptedDataType, after a check that the key is one for its algorithm.</summary>
    private byte[] CipherValue(XElement encrypted, string where)
    {
        var algorithm = Attribute(Required(encrypted, Xenc + "EncryptionMethod", where), "Algorithm", where);
        var (name, keyBytes) = algorithm switch
        {
            "http://www.w3.org/2001/04/xmlenc#aes128-cbc" => ("AES-128-CBC", 16),
            "http://www.w3.org/2001/04/xmlenc#aes192-cbc" => ("AES-192-CBC", 24),
            "http://www.w3.org/2001/04/xmlenc#aes256-cbc" => ("AES-256-CBC", 32),
            _ => throw new RefusedFileException(where, $"is encrypted with {Quote(algorithm)}; AES-128-CBC, AES-192-CBC and AES-256-CBC are supported"),
        };
        if (key.Length != keyBytes)
        {
            throw new RefusedFileException(
                where,
                secrets.Password.IsEmpty
                    ? $"is encrypted with {name}, which takes a pre-shared key of {keyBytes} bytes, but {key.Length} were given"
                    : $"is encrypted with {name}, which takes a key of {keyBytes} bytes, but its DerivedKey has {key.Length}");
        }

        var cipher = Base64(Required(Required(encrypted, Xenc + "CipherData", where), Xenc + "CipherValue", where), where);
        return cipher.Length >= 2 * BlockBytes && cipher.Length % BlockBytes == 0
            ? cipher
            : throw new RefusedFileException(where, "has a CipherValue that is not an IV and whole blocks");
    }

    private byte[] DecryptCbc(byte[] cipher, string where)
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
            throw new RefusedFileException(where, $"cannot be decrypted: the {Secret} is another one, or the file was altered");
        }
    }
}
