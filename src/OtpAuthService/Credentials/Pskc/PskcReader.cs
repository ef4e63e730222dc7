using System.Globalization;
using System.Runtime.CompilerServices;
using System.Xml.Linq;
using OtpAuthService.Verification;
using static OtpAuthService.Credentials.RefusedFileException;
using static OtpAuthService.Credentials.Pskc.PskcXml;

namespace OtpAuthService.Credentials.Pskc;

/// <summary>
/// Reads the TOTP credentials of a Portable Symmetric Key Container (RFC 6030), one after the other: a key package that cannot be taken over
/// exactly as its supplier meant it refuses the file.
/// </summary>
internal static class PskcReader
{
    /// <summary>Reads plain keys, or encrypted ones with <paramref name="secrets"/>.</summary>
    /// <exception cref="RefusedFileException">The file cannot be read any further.</exception>
    public static async IAsyncEnumerable<SuppliedEntry> ReadAsync(
        UploadedFile file, FileSecrets secrets, [EnumeratorCancellation] CancellationToken stop)
    {
        using var reader = await OpenAsync(file);
        using var encryption = new PskcEncryption(secrets);
        var packages = 0;
        while (await NextChildAsync(reader, stop) is var (line, child))
        {
            if (child.Name == Ns + "KeyPackage")
            {
                yield return ReadEntry(child, ++packages, line, encryption);
            }
            else
            {
                ReadHead(child, packages, encryption);
            }

            file.BeginEntry();
        }

        if (packages == 0)
        {
            throw new RefusedFileException(WholeFile, "has no KeyPackage");
        }
    }

    /// <summary>What concerns all packages stands before them (the RFC's schema is a sequence), so that nothing has to be read twice.</summary>
    private static void ReadHead(XElement child, int packages, PskcEncryption encryption)
    {
        if (child.Name == Dsig + "Signature" || child.Name == Ns + "Signature")
        {
            // Whoever signs a file counts on the signature being checked: to ignore it would be to accept what it was meant to prevent.
            throw new RefusedFileException(
                WholeFile, "is signed, and signatures are not checked here: verify it, remove the Signature and import it again");
        }

        var isEncryption = child.Name == Ns + "EncryptionKey" || child.Name == Ns + "MACMethod";
        if (isEncryption && packages > 0)
        {
            throw new RefusedFileException(WholeFile, $"has its {child.Name.LocalName} behind a KeyPackage");
        }

        if (isEncryption)
        {
            encryption.Declare(child);
        }
        else if (!IsExtension(child) && child.Name != Ns + "Extensions")
        {
            throw Unknown(child, "KeyContainer", WholeFile);
        }
    }

    private static SuppliedEntry ReadEntry(XElement package, int ordinal, int line, PskcEncryption encryption)
    {
        // For the whole file, and so not a fault of one package.
        encryption.OpenFor(package);
        try
        {
            return new SuppliedEntry(ReadPackage(package, ordinal, line, encryption), null);
        }
        catch (RefusedFileException refusal)
        {
            return new SuppliedEntry(null, refusal);
        }
    }

    private static SuppliedCredential ReadPackage(XElement package, int ordinal, int line, PskcEncryption encryption)
    {
        var where = Element("Key package", ordinal, line, null);
        var key = Required(package, Ns + "Key", where);
        var id = Attribute(key, "Id", where);
        where = Element("Key package", ordinal, line, id);
        RefuseUnknown(package, where, refuseExtensions: false, "DeviceInfo", "CryptoModuleInfo", "Key", "Extensions");
        RequireTotp(key, where);
        RefuseHeldElsewhere(key, where);
        RefuseUnknown(
            key, where, refuseExtensions: false, "Issuer", "AlgorithmParameters", "FriendlyName", "Data", "UserId", "Policy", "Extensions");

        var (algorithm, digits) = ReadParameters(key, where);
        var (validFrom, validUntil) = ReadPolicy(Optional(key, Ns + "Policy", where), where);
        var data = Required(key, Ns + "Data", where);
        var period = ReadPeriod(data, where);
        var drift = ReadDrift(data, period, where);
        var manufacturer = ReadManufacturer(package, key, where);
        // The key comes last, so that no later fault leaves it behind.
        return new SuppliedCredential(line, id, ReadKey(data, encryption, where), algorithm, digits, period)
        {
            DriftSteps = drift, Manufacturer = manufacturer, ValidFrom = validFrom, ValidUntil = validUntil,
        };
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
            throw new RefusedFileException(where, $"holds {name}; only TOTP keys can be imported");
        }
    }

    // RFC 6030 section 4.2: attributes agreed elsewhere, or a key derived from one that is held elsewhere. Here nothing was agreed.
    private static void RefuseHeldElsewhere(XElement key, string where)
    {
        foreach (var name in (string[])["KeyProfileId", "KeyReference"])
        {
            if (Optional(key, Ns + name, where) is not null)
            {
                throw new RefusedFileException(where, $"relies on a {name}, which only its supplier can resolve");
            }
        }
    }

    private static (Algorithm Algorithm, int Digits) ReadParameters(XElement key, string where)
    {
        var parameters = Required(key, Ns + "AlgorithmParameters", where);
        // A ChallengeFormat or an extension here would change how the OTP is computed.
        RefuseUnknown(parameters, where, refuseExtensions: true, "Suite", "ResponseFormat");
        var suite = Optional(parameters, Ns + "Suite", where);
        var format = Required(parameters, Ns + "ResponseFormat", where);
        RefuseUnknown(format, where, refuseExtensions: true);
        return (ReadSuite(suite is null ? "" : Text(suite, where), where), ReadDigits(format, where));
    }

    private static Algorithm ReadSuite(string suite, string where) => suite switch
    {
        "" or "HMAC-SHA1" => Algorithm.Sha1,
        "HMAC-SHA256" => Algorithm.Sha256,
        "HMAC-SHA512" => Algorithm.Sha512,
        _ => throw new RefusedFileException(where, $"has the Suite {Quote(suite)}; HMAC-SHA1, HMAC-SHA256 and HMAC-SHA512 are supported"),
    };

    private static int ReadDigits(XElement format, string where)
    {
        var encoding = Attribute(format, "Encoding", where);
        if (encoding != "DECIMAL")
        {
            throw new RefusedFileException(where, $"answers in the Encoding {Quote(encoding)}; only DECIMAL is supported");
        }

        if (format.Attribute("CheckDigits")?.Value.Trim() is not (null or "false" or "0"))
        {
            throw new RefusedFileException(where, "appends a check digit to its OTPs (CheckDigits), which is not supported");
        }

        return SuppliedCredential.ReadDigits(Attribute(format, "Length", where), "Length", where);
    }

    private static int ReadPeriod(XElement data, string where)
    {
        // Counter says nothing about TOTP and is left alone.
        RefuseUnknown(data, where, refuseExtensions: false, "Secret", "Counter", "Time", "TimeInterval", "TimeDrift");
        if (PlainNumber(data, "Time", where) is not (null or "0"))
        {
            // The RFC leaves the start point to the algorithm; here it is the Unix epoch (RFC 6238 section 4.1, T0 = 0).
            throw new RefusedFileException(where, "has a Time other than 0, and counting from another start than the Unix epoch is not supported");
        }

        return PlainNumber(data, "TimeInterval", where) is { } interval ? SuppliedCredential.ReadPeriod(interval, "TimeInterval", where) : 30;
    }

    // RFC 6030 section 4.2.1: time steps that the device's clock is off, negative where it is behind, as the server that wrote the file has learned it.
    private static int ReadDrift(XElement data, int period, string where)
    {
        if (PlainNumber(data, "TimeDrift", where) is not { } text)
        {
            return 0;
        }

        var most = Drift.MaxSteps(period);
        return int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var steps) && steps >= -most && steps <= most
            ? steps
            : throw new RefusedFileException(where, $"has a TimeDrift of {Quote(text)}; whole time steps from -{most} to {most} are believed");
    }

    private static string? PlainNumber(XElement data, string name, string where)
    {
        if (Optional(data, Ns + name, where) is not { } element)
        {
            return null;
        }

        return Optional(element, Ns + "PlainValue", where) is { } plain
            ? Text(plain, where)
            : throw new RefusedFileException(where, $"has a {name} without a PlainValue; an encrypted one is not supported");
    }

    // Who issued it where the file does not say who made it.
    private static string? ReadManufacturer(XElement package, XElement key, string where)
    {
        var device = Optional(package, Ns + "DeviceInfo", where);
        var manufacturer = device is null ? null : Optional(device, Ns + "Manufacturer", where);
        var named = manufacturer ?? Optional(key, Ns + "Issuer", where);
        return named is null || Text(named, where) is not { Length: > 0 } text ? null : text;
    }

    private static byte[] ReadKey(XElement data, PskcEncryption encryption, string where)
    {
        var secret = Required(data, Ns + "Secret", where);
        RefuseUnknown(secret, where, refuseExtensions: true, "PlainValue", "EncryptedValue", "ValueMAC");
        return SuppliedCredential.RequireKeyLength(encryption.IsUsed ? EncryptedKey(secret, encryption, where) : PlainKey(secret, where), where);
    }

    private static byte[] PlainKey(XElement secret, string where) => Optional(secret, Ns + "ValueMAC", where) is null
        ? Base64(Required(secret, Ns + "PlainValue", where), where)
        : throw new RefusedFileException(where, "has a ValueMAC on a plain key, which cannot be checked");

    // One plain key among encrypted ones was put there by somebody who did not need the pre-shared key.
    private static byte[] EncryptedKey(XElement secret, PskcEncryption encryption, string where) =>
        Optional(secret, Ns + "PlainValue", where) is null
            ? encryption.Decrypt(secret, where)
            : throw new RefusedFileException(where, "has a plain key in a file of encrypted ones");

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
            if (policy.Element(Ns + name) is not null)
            {
                throw new RefusedFileException(where, $"has a {name} in its Policy, which cannot be enforced here");
            }
        }

        RefuseUnknown(policy, where, refuseExtensions: true, "StartDate", "ExpiryDate", "KeyUsage");
        RequireOtpUsage(policy, where);
        var from = ReadDate(policy, "StartDate", where);
        var until = ReadDate(policy, "ExpiryDate", where);
        return from is null || until is null || from < until
            ? (from, until)
            : throw new RefusedFileException(where, "has an ExpiryDate that is not after its StartDate");
    }

    private static void RequireOtpUsage(XElement policy, string where)
    {
        var usages = policy.Elements(Ns + "KeyUsage").Select(usage => Text(usage, where)).ToArray();
        var unknown = Array.Find(usages, usage => usage is not ("OTP" or "CR" or "Encrypt" or "Integrity" or "Verify" or "Unlock"
            or "Decrypt" or "KeyWrap" or "Unwrap" or "Derive" or "Generate"));
        if (unknown is not null)
        {
            throw new RefusedFileException(where, $"has the unknown KeyUsage {Quote(unknown)} in its Policy");
        }

        if (usages.Length > 0 && !usages.Contains("OTP"))
        {
            throw new RefusedFileException(where, "has a KeyUsage that does not include OTP");
        }
    }

    private static DateTimeOffset? ReadDate(XElement policy, string name, string where) =>
        Optional(policy, Ns + name, where) is { } element ? SuppliedCredential.ReadMoment(Text(element, where), name, where) : null;
}
