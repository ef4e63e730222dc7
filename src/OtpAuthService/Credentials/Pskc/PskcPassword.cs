using System.Globalization;
using System.Security.Cryptography;
using System.Xml.Linq;
using static OtpAuthService.Credentials.RefusedFileException;
using static OtpAuthService.Credentials.Pskc.PskcXml;

namespace OtpAuthService.Credentials.Pskc;

/// <summary>The key that a PSKC file derives from a password: PBKDF2 (RFC 6030 section 6.2, RFC 8018 section 5.2).</summary>
internal static class PskcPassword
{
    /// <summary>Some seconds of work, so that a file cannot keep a processor busy for as long as it likes.</summary>
    private const int MaxIterations = 5_000_000;

    /// <summary>RFC 6030 writes them in the namespace of PKCS #5, XML Encryption 1.1 in its own; the children of the first have none.</summary>
    public static readonly XNamespace Pkcs5 = "http://www.rsasecurity.com/rsalabs/pkcs/schemas/pkcs-5v2-0#";

    public static readonly XNamespace Xenc11 = "http://www.w3.org/2009/xmlenc11#";

    /// <summary>The DerivedKey of an EncryptionKey; null where it names its key in another way.</summary>
    public static XElement? Find(XElement encryptionKey) =>
        Optional(encryptionKey, Xenc11 + "DerivedKey", WholeFile) ?? Optional(encryptionKey, Ns + "DerivedKey", WholeFile);

    /// <summary>The key that the parameters of a DerivedKey ask for. The caller zeroes it.</summary>
    public static byte[] Derive(XElement derivedKey, ReadOnlySpan<byte> password)
    {
        var method = Child(derivedKey, "KeyDerivationMethod") ?? throw new RefusedFileException(WholeFile, "has a DerivedKey without a KeyDerivationMethod");
        var algorithm = Attribute(method, "Algorithm", WholeFile);
        if (algorithm != Pkcs5.NamespaceName + "pbkdf2" && algorithm != Xenc11.NamespaceName + "pbkdf2")
        {
            throw new RefusedFileException(WholeFile, $"derives its key by {Quote(algorithm)}; PBKDF2 is supported");
        }

        var parameters = Child(method, "PBKDF2-params") ?? throw new RefusedFileException(WholeFile, "has a KeyDerivationMethod without PBKDF2-params");
        var salt = Child(parameters, "Salt") is { } holder && Child(holder, "Specified") is { } specified
            ? Base64(specified, WholeFile)
            : throw new RefusedFileException(WholeFile, "has PBKDF2-params without a Salt that is Specified");
        return Derive(password, salt, Number(parameters, "IterationCount", 1, MaxIterations), KeyLength(parameters), Prf(Child(parameters, "PRF")));
    }

    /// <summary>PBKDF2 as PSKC uses it.</summary>
    public static byte[] Derive(ReadOnlySpan<byte> password, ReadOnlySpan<byte> salt, int iterations, int keyBytes, HashAlgorithmName prf) =>
        Rfc2898DeriveBytes.Pbkdf2(password, salt, iterations, prf, keyBytes);

    private static int KeyLength(XElement parameters)
    {
        var bytes = Number(parameters, "KeyLength", 1, int.MaxValue);
        return bytes is 16 or 24 or 32
            ? bytes
            : throw new RefusedFileException(WholeFile, $"derives a key of {bytes} bytes (KeyLength); AES takes 16, 24 or 32");
    }

    // Default: HMAC-SHA-1 (RFC 8018 appendix A.2).
    private static HashAlgorithmName Prf(XElement? prf) => prf?.Attribute("Algorithm")?.Value.Trim() switch
    {
        null or "" or "http://www.w3.org/2000/09/xmldsig#hmac-sha1" => HashAlgorithmName.SHA1,
        "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256" => HashAlgorithmName.SHA256,
        "http://www.w3.org/2001/04/xmldsig-more#hmac-sha512" => HashAlgorithmName.SHA512,
        var other => throw new RefusedFileException(WholeFile, $"derives its key with the PRF {Quote(other)}; HMAC-SHA1, HMAC-SHA256 and HMAC-SHA512 are supported"),
    };

    private static int Number(XElement parameters, string name, int least, int most)
    {
        var text = Child(parameters, name) is { } element
            ? Text(element, WholeFile)
            : throw new RefusedFileException(WholeFile, $"has PBKDF2-params without a {name}");
        return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= least && number <= most
            ? number
            : throw new RefusedFileException(WholeFile, $"has a {name} of {Quote(text)}; {least} to {most} are supported");
    }

    private static XElement? Child(XElement parent, string name)
    {
        var found = parent.Elements().Where(e => e.Name.LocalName == name && IsOfDerivation(e.Name.Namespace)).Take(2).ToArray();
        return found.Length < 2
            ? found.SingleOrDefault()
            : throw new RefusedFileException(WholeFile, $"has more than one {name} in its {parent.Name.LocalName}");
    }

    private static bool IsOfDerivation(XNamespace name) => name == Xenc11 || name == Pkcs5 || name == Ns || name == XNamespace.None;
}
