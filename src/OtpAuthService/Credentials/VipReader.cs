using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;
using System.Xml;
using System.Xml.Linq;
using OtpAuthService.Credentials.Pskc;
using static OtpAuthService.Credentials.Pskc.PskcXml;
using static OtpAuthService.Credentials.RefusedFileException;

namespace OtpAuthService.Credentials;

/// <summary>
/// Reads answers of VIP's provisioning service (GetSharedSecretResponse), one of each credential, any number of them in a row. The key is AES-CBC under a
/// key that every VIP Access program holds and that is known since 2014 (python-vipaccess): such a file is to be treated as one with plain keys. What its
/// Digest is made of is not known, so it is not checked: whoever carries the file can change it unseen.
/// </summary>
internal static partial class VipReader
{
    public static readonly XNamespace Vip = "http://www.verisign.com/2006/08/vipservice";

    private const int KeyBytes = 16;

    /// <summary>Of VIP Access programs; other clients of the service have others, which are to be given as the pre-shared key.</summary>
    private static readonly byte[] PublishedKey = Convert.FromHexString("01AD9BC682A3AA93A9A3239A86D6CCD9");

    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Opens keys with the pre-shared key, or where there is none with the published one.</summary>
    /// <exception cref="RefusedFileException">The file cannot be read any further.</exception>
    public static async IAsyncEnumerable<SuppliedEntry> ReadAsync(
        UploadedFile file, FileSecrets secrets, [EnumeratorCancellation] CancellationToken stop)
    {
        using var aes = OpenAes(secrets);
        using var lines = new StreamReader(file, StrictUtf8);
        var (answer, began, number, ordinal) = (new StringBuilder(), 1, 0, 0);
        while (await ReadLineAsync(lines, number + 1, stop) is { } line)
        {
            number++;
            // Several answers on one line are cut apart; the end of the element is the only place that they can be.
            foreach (var part in EndOfAnswer().Split(line))
            {
                began = answer.Length == 0 ? number : began;
                if (answer.Length > 0 || !string.IsNullOrWhiteSpace(part))
                {
                    answer.Append(part).Append(EndOfAnswer().IsMatch(part) ? "" : "\n");
                }

                if (EndOfAnswer().IsMatch(part))
                {
                    yield return await ReadEntryAsync(answer.ToString(), ++ordinal, began, aes, stop);
                    answer.Clear();
                    file.BeginEntry();
                }
            }
        }

        if (!string.IsNullOrWhiteSpace(answer.ToString()) || ordinal == 0)
        {
            throw new RefusedFileException(WholeFile, $"does not end with a GetSharedSecretResponse: what begins at line {began} is none");
        }
    }

    private static Aes OpenAes(FileSecrets secrets)
    {
        if (!secrets.Password.IsEmpty)
        {
            throw new RefusedFileException(WholeFile, "is not one that a password opens");
        }

        if (secrets.PreSharedKey.Length is not (0 or KeyBytes))
        {
            throw new RefusedFileException(WholeFile, $"is encrypted with AES-128-CBC, which takes a pre-shared key of {KeyBytes} bytes, but {secrets.PreSharedKey.Length} were given");
        }

        var aes = Aes.Create();
        aes.SetKey(secrets.PreSharedKey.IsEmpty ? PublishedKey : secrets.PreSharedKey);
        return aes;
    }

    private static async Task<string?> ReadLineAsync(StreamReader lines, int number, CancellationToken stop)
    {
        try
        {
            return await lines.ReadLineAsync(stop);
        }
        catch (DecoderFallbackException)
        {
            throw new RefusedFileException(WholeFile, $"is not UTF-8, at line {number} or soon behind it");
        }
    }

    private static async Task<SuppliedEntry> ReadEntryAsync(string text, int ordinal, int line, Aes aes, CancellationToken stop)
    {
        try
        {
            return new SuppliedEntry(ReadAnswer(await LoadAsync(text, line, stop), ordinal, line, aes), null);
        }
        catch (RefusedFileException refusal)
        {
            return new SuppliedEntry(null, refusal);
        }
    }

    private static async Task<XElement> LoadAsync(string text, int line, CancellationToken stop)
    {
        try
        {
            using var reader = XmlReader.Create(new StringReader(text), Settings());
            await reader.MoveToContentAsync();
            var root = await ReadElementAsync(reader, stop);
            await ReadToEndAsync(reader);
            return root;
        }
        catch (XmlException e)
        {
            throw new RefusedFileException(WholeFile, Explain(e, line - 1));
        }
    }

    private static SuppliedCredential ReadAnswer(XElement answer, int ordinal, int line, Aes aes)
    {
        var where = Element("Answer", ordinal, line, null);
        if (answer.Name != Vip + "GetSharedSecretResponse")
        {
            throw new RefusedFileException(where, $"is not one of VIP's provisioning service: its root is {Quote(answer.Name.LocalName)}");
        }

        RequireSuccess(Required(answer, Vip + "Status", where), where);
        var container = Required(answer, Vip + "SecretContainer", where);
        var secret = Required(Required(container, Vip + "Device", where), Vip + "Secret", where);
        var id = Attribute(secret, "Id", where);
        where = Element("Answer", ordinal, line, id);
        var (period, digits, algorithm) = ReadUsage(Required(secret, Vip + "Usage", where), where);
        var expiry = Optional(secret, Vip + "Expiry", where);
        var until = expiry is null ? (DateTimeOffset?)null : SuppliedCredential.ReadMoment(Text(expiry, where), "Expiry", where);
        var issuer = Optional(secret, Vip + "Issuer", where);
        var method = Required(container, Vip + "EncryptionMethod", where);
        var key = Decrypt(aes, Base64(Required(method, Vip + "IV", where), where), Required(secret, Vip + "Data", where), algorithm, where);
        return new SuppliedCredential(line, id, key, algorithm, digits, period)
        {
            ValidUntil = until, Manufacturer = issuer is null ? null : Text(issuer, where),
        };
    }

    private static void RequireSuccess(XElement status, string where)
    {
        var code = Text(Required(status, Vip + "ReasonCode", where), where);
        if (code != "0000")
        {
            throw new RefusedFileException(where, $"is a refusal (ReasonCode {Quote(code)}) and holds no credential");
        }
    }

    /// <summary>What an event-based credential has is a counter in the place of the time step.</summary>
    private static (int Period, int Digits, Algorithm Algorithm) ReadUsage(XElement usage, string where)
    {
        if (Optional(usage, Vip + "TimeStep", where) is not { } step)
        {
            throw new RefusedFileException(where, "holds an HOTP (counter-based) key; only TOTP keys can be imported");
        }

        if (Optional(usage, Vip + "Time", where) is { } start && Text(start, where) != "0")
        {
            throw new RefusedFileException(where, "has a Time other than 0, and counting from another start than the Unix epoch is not supported");
        }

        var type = Attribute(Required(usage, Vip + "AI", where), "type", where);
        var (digits, algorithm) = type switch
        {
            "HMAC-SHA1-TRUNC-6DIGITS" => (6, Algorithm.Sha1),
            "HMAC-SHA1-TRUNC-8DIGITS" => (8, Algorithm.Sha1),
            "HMAC-SHA256-TRUNC-6DIGITS" => (6, Algorithm.Sha256),
            "HMAC-SHA256-TRUNC-8DIGITS" => (8, Algorithm.Sha256),
            _ => throw new RefusedFileException(where, $"has the algorithm {Quote(type)}; HMAC-SHA1-TRUNC-6DIGITS and the like with SHA256 or 8DIGITS are supported"),
        };
        return (SuppliedCredential.ReadPeriod(Text(step, where), "TimeStep", where), digits, algorithm);
    }

    /// <summary>
    /// Nothing but the padding and its length tells that a key is right. The padding alone would be so once in 256 times; with the length that the
    /// algorithm has (RFC 4226 section 4, RFC 6238 appendix B), which takes 12 or 16 bytes of it, never.
    /// </summary>
    private static byte[] Decrypt(Aes aes, byte[] iv, XElement data, Algorithm algorithm, string where)
    {
        var cipher = Base64(Required(data, Vip + "Cipher", where), where);
        if (iv.Length != KeyBytes)
        {
            throw new RefusedFileException(where, $"has an IV of {iv.Length} bytes; AES takes {KeyBytes}");
        }

        var length = algorithm == Algorithm.Sha1 ? SHA1.HashSizeInBytes : SHA256.HashSizeInBytes;
        byte[] key = [];
        try
        {
            key = aes.DecryptCbc(cipher, iv, PaddingMode.PKCS7);
        }
        catch (CryptographicException)
        {
            // As of another length.
        }

        if (key.Length == length)
        {
            return key;
        }

        CryptographicOperations.ZeroMemory(key);
        throw new RefusedFileException(
            where, $"cannot be decrypted to a key of {8 * length} bits: its key is another one than that of VIP Access or the one given, or the file was altered");
    }

    /// <summary>Behind the end tag, which stays with what is before it.</summary>
    [GeneratedRegex(@"(?<=</(?:[A-Za-z0-9_.-]{1,20}:)?GetSharedSecretResponse[ \t]{0,20}>)")]
    private static partial Regex EndOfAnswer();
}
