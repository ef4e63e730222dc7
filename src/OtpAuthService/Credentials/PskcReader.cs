using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json.Serialization;
using System.Xml.Linq;
using static OtpAuthService.Credentials.PskcException;
using static OtpAuthService.Credentials.PskcXml;

namespace OtpAuthService.Credentials;

/// <summary>One TOTP credential of a PSKC file.</summary>
/// <param name="Id">Key/@Id as it is written there, without white space around it; unique in the file however it is spelt.</param>
/// <param name="Key">16 to 64 bytes, in the clear: wrap it, then zero it.</param>
/// <param name="Algorithm">Never unspecified.</param>
/// <param name="Digits">6 or 8.</param>
/// <param name="PeriodSeconds">30 or 60.</param>
/// <param name="Manufacturer">Null where the file does not say; not checked for length or characters.</param>
/// <param name="ValidFrom">Not to be used before, UTC; null where unlimited.</param>
/// <param name="ValidUntil">Not to be used after, UTC; null where unlimited.</param>
internal sealed record PskcCredential(
    string Id,
    [property: JsonIgnore] byte[] Key,
    Algorithm Algorithm,
    int Digits,
    int PeriodSeconds,
    string? Manufacturer,
    DateTimeOffset? ValidFrom,
    DateTimeOffset? ValidUntil);

/// <summary>
/// Reads the TOTP credentials of a Portable Symmetric Key Container (RFC 6030), all or nothing: a key package that cannot be taken over
/// exactly as its supplier meant it refuses the file.
/// </summary>
internal static class PskcReader
{
    // RFC 4226 R6 asks for at least 128 bits; above the block of SHA-1 and SHA-256, HMAC would only hash the key down.
    private const int MinKeyBytes = 16;
    private const int MaxKeyBytes = 64;

    /// <summary>Reads plain keys, or keys encrypted under <paramref name="preSharedKey"/> (16 or 32 bytes; empty: none).</summary>
    /// <exception cref="PskcException">The file is refused; every key that was read from it is zeroed.</exception>
    public static IReadOnlyList<PskcCredential> Read(Stream file, ReadOnlySpan<byte> preSharedKey)
    {
        var container = Load(file);
        RefuseSignature(container);
        RefuseUnknown(container, WholeFile, refuseExtensions: false, "EncryptionKey", "MACMethod", "KeyPackage", "Extensions");

        using var encryption = PskcEncryption.Open(container, preSharedKey);
        var credentials = new List<PskcCredential>();
        try
        {
            ReadPackages(container, encryption, credentials);
        }
        catch
        {
            // The Base64 text of plain keys stays in the document's strings until they are collected; only buffers can be zeroed.
            credentials.ForEach(credential => CryptographicOperations.ZeroMemory(credential.Key));
            throw;
        }

        return credentials;
    }

    private static void ReadPackages(XElement container, PskcEncryption? encryption, List<PskcCredential> credentials)
    {
        var ordinals = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var package in container.Elements(Pskc + "KeyPackage"))
        {
            var ordinal = credentials.Count + 1;
            var key = Required(package, Pskc + "Key", Package(ordinal, null));
            var id = Attribute(key, "Id", Package(ordinal, null));
            var where = Package(ordinal, id);
            if (!ordinals.TryAdd(Comparable(id, where), ordinal))
            {
                throw new PskcException(where, $"has the Id of key package {ordinals[Comparable(id, where)]}");
            }

            credentials.Add(ReadPackage(package, key, id, encryption, where));
        }

        if (credentials.Count == 0)
        {
            throw new PskcException(WholeFile, "has no KeyPackage");
        }
    }

    // Credential IDs are compared upper-case without spaces and hyphens: two spellings of one ID are one credential.
    private static string Comparable(string id, string where)
    {
        var comparable = id.Replace(" ", "", StringComparison.Ordinal).Replace("-", "", StringComparison.Ordinal).ToUpperInvariant();
        return comparable.Length > 0 ? comparable : throw new PskcException(where, "has an empty Id");
    }

    private static PskcCredential ReadPackage(XElement package, XElement key, string id, PskcEncryption? encryption, string where)
    {
        RefuseUnknown(package, where, refuseExtensions: false, "DeviceInfo", "CryptoModuleInfo", "Key", "Extensions");
        RequireTotp(key, where);
        RefuseHeldElsewhere(key, where);
        RefuseUnknown(
            key, where, refuseExtensions: false, "Issuer", "AlgorithmParameters", "FriendlyName", "Data", "UserId", "Policy", "Extensions");

        var (algorithm, digits) = ReadParameters(key, where);
        var (validFrom, validUntil) = ReadPolicy(Optional(key, Pskc + "Policy", where), where);
        var data = Required(key, Pskc + "Data", where);
        var period = ReadPeriod(data, where);
        var manufacturer = ReadManufacturer(package, where);
        // The key comes last, so that no later fault leaves it behind.
        return new PskcCredential(id, ReadKey(data, encryption, where), algorithm, digits, period, manufacturer, validFrom, validUntil);
    }

    private static void RequireTotp(XElement key, string where)
    {
        var algorithm = Attribute(key, "Algorithm", where);
        var name = algorithm switch
        {
            // RFC 6030 registers only hotp and pin; totp comes from draft-hoyer-keyprov-pskc-algorithm-profiles-01 section 4, with a '#'.
            "urn:ietf:params:xml:ns:keyprov:pskc:totp" or "urn:ietf:params:xml:ns:keyprov:pskc#totp" => null,
            "urn:ietf:params:xml:ns:keyprov:pskc:hotp" or "urn:ietf:params:xml:ns:keyprov:pskc#hotp" => "an HOTP (counter-based) key",
            "urn:ietf:params:xml:ns:keyprov:pskc:pin" => "a PIN",
            _ => $"a key for {Quote(algorithm)}",
        };
        if (name is not null)
        {
            throw new PskcException(where, $"holds {name}; only TOTP keys can be imported");
        }
    }

    // RFC 6030 section 4.2: attributes agreed elsewhere, or a key derived from one that is held elsewhere. Here nothing was agreed.
    private static void RefuseHeldElsewhere(XElement key, string where)
    {
        foreach (var name in (string[])["KeyProfileId", "KeyReference"])
        {
            if (Optional(key, Pskc + name, where) is not null)
            {
                throw new PskcException(where, $"relies on a {name}, which only its supplier can resolve");
            }
        }
    }

    private static (Algorithm Algorithm, int Digits) ReadParameters(XElement key, string where)
    {
        var parameters = Required(key, Pskc + "AlgorithmParameters", where);
        // A ChallengeFormat or an extension here would change how the OTP is computed.
        RefuseUnknown(parameters, where, refuseExtensions: true, "Suite", "ResponseFormat");
        var suite = Optional(parameters, Pskc + "Suite", where);
        var format = Required(parameters, Pskc + "ResponseFormat", where);
        return (ReadSuite(suite is null ? "" : Text(suite, where), where), ReadDigits(format, where));
    }

    private static Algorithm ReadSuite(string suite, string where) => suite switch
    {
        "" or "HMAC-SHA1" => Algorithm.Sha1,
        "HMAC-SHA256" => Algorithm.Sha256,
        "HMAC-SHA512" => Algorithm.Sha512,
        _ => throw new PskcException(where, $"has the Suite {Quote(suite)}; HMAC-SHA1, HMAC-SHA256 and HMAC-SHA512 are supported"),
    };

    private static int ReadDigits(XElement format, string where)
    {
        var encoding = Attribute(format, "Encoding", where);
        if (encoding != "DECIMAL")
        {
            throw new PskcException(where, $"answers in the Encoding {Quote(encoding)}; only DECIMAL is supported");
        }

        if (format.Attribute("CheckDigits")?.Value.Trim() is not (null or "false" or "0"))
        {
            throw new PskcException(where, "appends a check digit to its OTPs (CheckDigits), which is not supported");
        }

        var length = Attribute(format, "Length", where);
        return length switch
        {
            "6" => 6,
            "8" => 8,
            _ => throw new PskcException(where, $"has OTPs of Length {Quote(length)}; 6 and 8 are supported"),
        };
    }

    private static int ReadPeriod(XElement data, string where)
    {
        // Counter says nothing about TOTP. TimeDrift is what another server had learned of the clock when the file was written: it is out
        // of date, and our own is only ever learned from the credential's OTPs. So both are left alone.
        RefuseUnknown(data, where, refuseExtensions: false, "Secret", "Counter", "Time", "TimeInterval", "TimeDrift");
        if (PlainNumber(data, "Time", where) is not (null or "0"))
        {
            // The RFC leaves the start point to the algorithm; here it is the Unix epoch (RFC 6238 section 4.1, T0 = 0).
            throw new PskcException(where, "has a Time other than 0, and counting from another start than the Unix epoch is not supported");
        }

        var interval = PlainNumber(data, "TimeInterval", where);
        return interval switch
        {
            null or "30" => 30,
            "60" => 60,
            _ => throw new PskcException(where, $"has a TimeInterval of {Quote(interval)}; 30 and 60 seconds are supported"),
        };
    }

    private static string? PlainNumber(XElement data, string name, string where)
    {
        if (Optional(data, Pskc + name, where) is not { } element)
        {
            return null;
        }

        return Optional(element, Pskc + "PlainValue", where) is { } plain
            ? Text(plain, where)
            : throw new PskcException(where, $"has a {name} without a PlainValue; an encrypted one is not supported");
    }

    private static string? ReadManufacturer(XElement package, string where)
    {
        var device = Optional(package, Pskc + "DeviceInfo", where);
        var manufacturer = device is null ? null : Optional(device, Pskc + "Manufacturer", where);
        return manufacturer is null || Text(manufacturer, where) is not { Length: > 0 } text ? null : text;
    }

    private static byte[] ReadKey(XElement data, PskcEncryption? encryption, string where)
    {
        var secret = Required(data, Pskc + "Secret", where);
        RefuseUnknown(secret, where, refuseExtensions: true, "PlainValue", "EncryptedValue", "ValueMAC");
        var key = encryption is null ? PlainKey(secret, where) : EncryptedKey(secret, encryption, where);
        if (key.Length is >= MinKeyBytes and <= MaxKeyBytes)
        {
            return key;
        }

        CryptographicOperations.ZeroMemory(key);
        throw new PskcException(where, $"has a key of {8 * key.Length} bits; {8 * MinKeyBytes} to {8 * MaxKeyBytes} are supported");
    }

    private static byte[] PlainKey(XElement secret, string where) => Optional(secret, Pskc + "ValueMAC", where) is null
        ? Base64(Required(secret, Pskc + "PlainValue", where), where)
        : throw new PskcException(where, "has a ValueMAC on a plain key, which cannot be checked");

    // One plain key among encrypted ones was put there by somebody who did not need the pre-shared key.
    private static byte[] EncryptedKey(XElement secret, PskcEncryption encryption, string where) =>
        Optional(secret, Pskc + "PlainValue", where) is null
            ? encryption.Decrypt(secret, where)
            : throw new PskcException(where, "has a plain key in a file of encrypted ones");

    /// <summary>
    /// RFC 6030 section 5: a recipient enforces the policy, and takes a key with an element or value that it does not know as not permitted.
    /// So every element is either honoured or refused.
    /// </summary>
    private static (DateTimeOffset? From, DateTimeOffset? Until) ReadPolicy(XElement? policy, string where)
    {
        if (policy is null)
        {
            return (null, null);
        }

        foreach (var name in (string[])["PINPolicy", "NumberOfTransactions"])
        {
            if (policy.Element(Pskc + name) is not null)
            {
                throw new PskcException(where, $"has a {name} in its Policy, which cannot be enforced here");
            }
        }

        RefuseUnknown(policy, where, refuseExtensions: true, "StartDate", "ExpiryDate", "KeyUsage");
        RequireOtpUsage(policy, where);
        var from = ReadDate(policy, "StartDate", where);
        var until = ReadDate(policy, "ExpiryDate", where);
        return from is null || until is null || from < until
            ? (from, until)
            : throw new PskcException(where, "has an ExpiryDate that is not after its StartDate");
    }

    private static void RequireOtpUsage(XElement policy, string where)
    {
        var usages = policy.Elements(Pskc + "KeyUsage").Select(usage => Text(usage, where)).ToArray();
        var unknown = Array.Find(usages, usage => usage is not ("OTP" or "CR" or "Encrypt" or "Integrity" or "Verify" or "Unlock"
            or "Decrypt" or "KeyWrap" or "Unwrap" or "Derive" or "Generate"));
        if (unknown is not null)
        {
            throw new PskcException(where, $"has the unknown KeyUsage {Quote(unknown)} in its Policy");
        }

        if (usages.Length > 0 && !usages.Contains("OTP"))
        {
            throw new PskcException(where, "has a KeyUsage that does not include OTP");
        }
    }

    private static DateTimeOffset? ReadDate(XElement policy, string name, string where)
    {
        // xs:dateTime with its time zone: without one, a date in Japan would be nine hours off.
        string[] formats = ["yyyy-MM-dd'T'HH:mm:ss.FFFFFFF'Z'", "yyyy-MM-dd'T'HH:mm:ss.FFFFFFFzzz"];
        if (Optional(policy, Pskc + name, where) is not { } element)
        {
            return null;
        }

        var text = Text(element, where);
        return DateTimeOffset.TryParseExact(text, formats, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var date)
            ? date.ToUniversalTime()
            : throw new PskcException(where, $"has a {name} that is not a date and time with a time zone (2030-12-31T00:00:00Z)");
    }

    // Whoever signs a file counts on the signature being checked: to ignore it would be to accept what it was meant to prevent.
    private static void RefuseSignature(XElement container)
    {
        if (container.Element(Dsig + "Signature") is not null)
        {
            throw new PskcException(
                WholeFile,
                "is signed, and signatures are not checked here: verify it, remove the Signature and import it again");
        }
    }
}
