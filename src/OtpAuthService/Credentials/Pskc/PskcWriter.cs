using System.Globalization;
using System.Security.Cryptography;
using System.Xml;
using OtpAuthService.Keys;

namespace OtpAuthService.Credentials.Pskc;

/// <summary>
/// Writes a PSKC file with encrypted keys: AES-CBC and HMAC-SHA-256 under a pre-shared key, or one that is derived from a password by PBKDF2 (RFC 6030 sections 6.1
/// and 6.2, figures 6 and 7). What <see cref="PskcReader"/> and pskctool read.
/// </summary>
internal sealed class PskcWriter : IDisposable
{
    private const string Pskc = "urn:ietf:params:xml:ns:keyprov:pskc";
    private const string Xenc = "http://www.w3.org/2001/04/xmlenc#";
    private const string Xenc11 = "http://www.w3.org/2009/xmlenc11#";
    private const string Dsig = "http://www.w3.org/2000/09/xmldsig#";
    private const string Pkcs5 = "http://www.rsasecurity.com/rsalabs/pkcs/schemas/pkcs-5v2-0#";

    /// <summary>OWASP's number for PBKDF2 with HMAC-SHA-1, the PRF that every reader knows.</summary>
    private const int Iterations = 1_300_000;

    private readonly XmlWriter writer;
    private readonly Aes aes = Aes.Create();
    private readonly byte[] macKey = RandomNumberGenerator.GetBytes(32);
    private readonly byte[] salt = RandomNumberGenerator.GetBytes(16);
    private readonly bool isDerived;

    public PskcWriter(Stream output, FileSecrets secrets)
    {
        isDerived = !secrets.Password.IsEmpty;
        var key = isDerived ? PskcPassword.Derive(secrets.Password, salt, Iterations, 32, HashAlgorithmName.SHA1) : secrets.PreSharedKey.ToArray();
        aes.Key = key;
        CryptographicOperations.ZeroMemory(key);
        writer = XmlWriter.Create(output, new XmlWriterSettings { Indent = true, CloseOutput = false });
    }

    /// <summary>What stands before the first key.</summary>
    public void Begin()
    {
        writer.WriteStartElement("pskc", "KeyContainer", Pskc);
        writer.WriteAttributeString("Version", "1.0");
        writer.WriteAttributeString("xmlns", "xenc", null, Xenc);
        writer.WriteStartElement("EncryptionKey", Pskc);
        if (isDerived)
        {
            WriteDerivedKey();
        }
        else
        {
            writer.WriteElementString("ds", "KeyName", Dsig, "Pre-shared-key");
        }

        writer.WriteEndElement();
        writer.WriteStartElement("MACMethod", Pskc);
        writer.WriteAttributeString("Algorithm", "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256");
        writer.WriteStartElement("MACKey", Pskc);
        WriteCipher(macKey);
        writer.WriteEndElement();
        writer.WriteEndElement();
    }

    public void Write(Credential credential, PinnedKey key)
    {
        writer.WriteStartElement("KeyPackage", Pskc);
        writer.WriteStartElement("DeviceInfo", Pskc);
        writer.WriteElementString("Manufacturer", Pskc, credential.Supplier);
        writer.WriteElementString("SerialNo", Pskc, credential.CredentialId.Value);
        writer.WriteEndElement();
        writer.WriteStartElement("Key", Pskc);
        writer.WriteAttributeString("Id", credential.CredentialId.Value);
        writer.WriteAttributeString("Algorithm", "urn:ietf:params:xml:ns:keyprov:pskc:totp");
        WriteParameters(credential);
        WriteData(credential, key);
        WritePolicy(credential);
        writer.WriteEndElement();
        writer.WriteEndElement();
    }

    public void End() => writer.WriteEndElement();

    public void Flush() => writer.Flush();

    public void Dispose()
    {
        writer.Dispose();
        aes.Dispose();
        CryptographicOperations.ZeroMemory(macKey);
    }

    private void WriteDerivedKey()
    {
        writer.WriteStartElement("xenc11", "DerivedKey", Xenc11);
        writer.WriteStartElement("KeyDerivationMethod", Xenc11);
        writer.WriteAttributeString("Algorithm", Pkcs5 + "pbkdf2");
        writer.WriteStartElement("pkcs5", "PBKDF2-params", Pkcs5);
        writer.WriteStartElement("Salt");
        writer.WriteElementString("Specified", Convert.ToBase64String(salt));
        writer.WriteEndElement();
        writer.WriteElementString("IterationCount", XmlConvert.ToString(Iterations));
        writer.WriteElementString("KeyLength", "32");
        writer.WriteEndElement();
        writer.WriteEndElement();
        writer.WriteElementString("MasterKeyName", Xenc11, "Password");
        writer.WriteEndElement();
    }

    private void WriteParameters(Credential credential)
    {
        writer.WriteStartElement("AlgorithmParameters", Pskc);
        if (credential.Algorithm != Algorithm.Sha1)
        {
            writer.WriteElementString("Suite", Pskc, credential.Algorithm switch
            {
                Algorithm.Sha256 => "HMAC-SHA256",
                Algorithm.Sha512 => "HMAC-SHA512",
                var other => throw new InvalidOperationException($"Algorithm {other} is not known."),
            });
        }

        writer.WriteStartElement("ResponseFormat", Pskc);
        writer.WriteAttributeString("Length", XmlConvert.ToString(credential.Digits));
        writer.WriteAttributeString("Encoding", "DECIMAL");
        writer.WriteEndElement();
        writer.WriteEndElement();
    }

    private void WriteData(Credential credential, PinnedKey key)
    {
        writer.WriteStartElement("Data", Pskc);
        writer.WriteStartElement("Secret", Pskc);
        writer.WriteStartElement("EncryptedValue", Pskc);
        var cipher = WriteCipher(key.Bytes);
        writer.WriteEndElement();
        writer.WriteElementString("ValueMAC", Pskc, Convert.ToBase64String(HMACSHA256.HashData(macKey, cipher)));
        writer.WriteEndElement();
        WriteNumber("Time", 0);
        WriteNumber("TimeInterval", credential.PeriodSeconds);
        WriteNumber("TimeDrift", credential.DriftSteps);
        writer.WriteEndElement();
    }

    private void WritePolicy(Credential credential)
    {
        if (credential is { ValidFrom: null, ValidUntil: null })
        {
            return;
        }

        writer.WriteStartElement("Policy", Pskc);
        WriteDate("StartDate", credential.ValidFrom);
        WriteDate("ExpiryDate", credential.ValidUntil);
        writer.WriteElementString("KeyUsage", Pskc, "OTP");
        writer.WriteEndElement();
    }

    private void WriteDate(string name, DateTimeOffset? moment)
    {
        if (moment is { } at)
        {
            writer.WriteElementString(name, Pskc, at.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ss.FFFZ", CultureInfo.InvariantCulture));
        }
    }

    private void WriteNumber(string name, int number)
    {
        writer.WriteStartElement(name, Pskc);
        writer.WriteElementString("PlainValue", Pskc, XmlConvert.ToString(number));
        writer.WriteEndElement();
    }

    /// <returns>What the MAC covers: IV and ciphertext.</returns>
    private byte[] WriteCipher(ReadOnlySpan<byte> plain)
    {
        var iv = RandomNumberGenerator.GetBytes(aes.BlockSize / 8);
        byte[] cipher = [.. iv, .. aes.EncryptCbc(plain, iv)];
        writer.WriteStartElement("EncryptionMethod", Xenc);
        writer.WriteAttributeString("Algorithm", $"{Xenc}aes{aes.KeySize}-cbc");
        writer.WriteEndElement();
        writer.WriteStartElement("CipherData", Xenc);
        writer.WriteElementString("CipherValue", Xenc, Convert.ToBase64String(cipher));
        writer.WriteEndElement();
        return cipher;
    }
}
