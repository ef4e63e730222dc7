using System.Security.Cryptography;

namespace OtpAuthService.Tests.Credentials;

/// <summary>PSKC files to read: the figures of RFC 6030, and files made for a test.</summary>
internal static class PskcFiles
{
    /// <summary>The pre-shared key of figure 6.</summary>
    public const string PreSharedKey = "12345678901234567890123456789012";

    /// <summary>The key that figure 7 derives from its password.</summary>
    public const string Figure7DerivedKey = "651e63cd57008476af1ff6422cd02e41";

    /// <summary>RFC 6030 figure 2: basic container; its key has 32 bits only.</summary>
    public const string Figure2 = """
        <?xml version="1.0" encoding="UTF-8"?>
        <KeyContainer Version="1.0" Id="exampleID1" xmlns="urn:ietf:params:xml:ns:keyprov:pskc">
          <KeyPackage>
            <Key Id="12345678" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:hotp">
              <Issuer>Issuer-A</Issuer>
              <Data>
                <Secret>
                  <PlainValue>MTIzNA==
                  </PlainValue>
                </Secret>
              </Data>
            </Key>
          </KeyPackage>
        </KeyContainer>
        """;

    /// <summary>RFC 6030 figure 3: supplementary data.</summary>
    public const string Figure3 = """
        <?xml version="1.0" encoding="UTF-8"?>
        <KeyContainer Version="1.0" Id="exampleID1" xmlns="urn:ietf:params:xml:ns:keyprov:pskc">
          <KeyPackage>
            <DeviceInfo>
              <Manufacturer>Manufacturer</Manufacturer>
              <SerialNo>987654321</SerialNo>
              <UserId>DC=example-bank,DC=net</UserId>
            </DeviceInfo>
            <CryptoModuleInfo>
              <Id>CM_ID_001</Id>
            </CryptoModuleInfo>
            <Key Id="12345678" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:hotp">
              <Issuer>Issuer</Issuer>
              <AlgorithmParameters>
                <ResponseFormat Length="8" Encoding="DECIMAL"/>
              </AlgorithmParameters>
              <Data>
                <Secret>
                  <PlainValue>MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=
                  </PlainValue>
                </Secret>
                <Counter>
                  <PlainValue>0</PlainValue>
                </Counter>
              </Data>
              <UserId>UID=jsmith,DC=example-bank,DC=net</UserId>
            </Key>
          </KeyPackage>
        </KeyContainer>
        """;

    /// <summary>RFC 6030 figure 4: a key that is derived from one held elsewhere.</summary>
    public const string Figure4 = """
        <?xml version="1.0" encoding="UTF-8"?>
        <KeyContainer Version="1.0" Id="exampleID1" xmlns="urn:ietf:params:xml:ns:keyprov:pskc">
          <KeyPackage>
            <DeviceInfo>
              <Manufacturer>Manufacturer</Manufacturer>
              <SerialNo>987654321</SerialNo>
            </DeviceInfo>
            <CryptoModuleInfo>
              <Id>CM_ID_001</Id>
            </CryptoModuleInfo>
            <Key Id="12345678" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:hotp">
              <Issuer>Issuer</Issuer>
              <AlgorithmParameters>
                <ResponseFormat Length="8" Encoding="DECIMAL"/>
              </AlgorithmParameters>
              <KeyProfileId>keyProfile1</KeyProfileId>
              <KeyReference>MasterKeyLabel
              </KeyReference>
              <Data>
                <Counter>
                  <PlainValue>0</PlainValue>
                </Counter>
              </Data>
              <Policy>
                <KeyUsage>OTP</KeyUsage>
              </Policy>
            </Key>
          </KeyPackage>
        </KeyContainer>
        """;

    /// <summary>RFC 6030 figure 5: a key with a PIN policy, and the PIN in a package of its own.</summary>
    public const string Figure5 = """
        <?xml version="1.0" encoding="UTF-8"?>
        <KeyContainer Version="1.0" Id="exampleID1" xmlns="urn:ietf:params:xml:ns:keyprov:pskc">
          <KeyPackage>
            <DeviceInfo>
              <Manufacturer>Manufacturer</Manufacturer>
              <SerialNo>987654321</SerialNo>
            </DeviceInfo>
            <CryptoModuleInfo>
              <Id>CM_ID_001</Id>
            </CryptoModuleInfo>
            <Key Id="12345678" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:hotp">
              <Issuer>Issuer</Issuer>
              <AlgorithmParameters>
                <ResponseFormat Length="8" Encoding="DECIMAL"/>
              </AlgorithmParameters>
              <Data>
                <Secret>
                  <PlainValue>MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=
                  </PlainValue>
                </Secret>
                <Counter>
                  <PlainValue>0</PlainValue>
                </Counter>
              </Data>
              <Policy>
                <PINPolicy MinLength="4" MaxLength="4" PINKeyId="123456781" PINEncoding="DECIMAL" PINUsageMode="Local"/>
                <KeyUsage>OTP</KeyUsage>
              </Policy>
            </Key>
          </KeyPackage>
          <KeyPackage>
            <DeviceInfo>
              <Manufacturer>Manufacturer</Manufacturer>
              <SerialNo>987654321</SerialNo>
            </DeviceInfo>
            <CryptoModuleInfo>
              <Id>CM_ID_001</Id>
            </CryptoModuleInfo>
            <Key Id="123456781" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:pin">
              <Issuer>Issuer</Issuer>
              <AlgorithmParameters>
                <ResponseFormat Length="4" Encoding="DECIMAL"/>
              </AlgorithmParameters>
              <Data>
                <Secret>
                  <PlainValue>MTIzNA==</PlainValue>
                </Secret>
              </Data>
            </Key>
          </KeyPackage>
        </KeyContainer>
        """;

    /// <summary>RFC 6030 figure 6: AES-128-CBC under <see cref="PreSharedKey"/>; MAC key 1122334455667788990011223344556677889900 (hex).</summary>
    public const string Figure6 = """
        <?xml version="1.0" encoding="UTF-8"?>
        <KeyContainer Version="1.0" xmlns="urn:ietf:params:xml:ns:keyprov:pskc"
            xmlns:ds="http://www.w3.org/2000/09/xmldsig#" xmlns:xenc="http://www.w3.org/2001/04/xmlenc#">
          <EncryptionKey>
            <ds:KeyName>Pre-shared-key</ds:KeyName>
          </EncryptionKey>
          <MACMethod Algorithm="http://www.w3.org/2000/09/xmldsig#hmac-sha1">
            <MACKey>
              <xenc:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#aes128-cbc"/>
              <xenc:CipherData>
                <xenc:CipherValue>
        ESIzRFVmd4iZABEiM0RVZgKn6WjLaTC1sbeBMSvIhRejN9vJa2BOlSaMrR7I5wSX
                </xenc:CipherValue>
              </xenc:CipherData>
            </MACKey>
          </MACMethod>
          <KeyPackage>
            <DeviceInfo>
              <Manufacturer>Manufacturer</Manufacturer>
              <SerialNo>987654321</SerialNo>
            </DeviceInfo>
            <CryptoModuleInfo>
              <Id>CM_ID_001</Id>
            </CryptoModuleInfo>
            <Key Id="12345678" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:hotp">
              <Issuer>Issuer</Issuer>
              <AlgorithmParameters>
                <ResponseFormat Length="8" Encoding="DECIMAL"/>
              </AlgorithmParameters>
              <Data>
                <Secret>
                  <EncryptedValue>
                    <xenc:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#aes128-cbc"/>
                    <xenc:CipherData>
                      <xenc:CipherValue>
        AAECAwQFBgcICQoLDA0OD+cIHItlB3Wra1DUpxVvOx2lef1VmNPCMl8jwZqIUqGv
                      </xenc:CipherValue>
                    </xenc:CipherData>
                  </EncryptedValue>
                  <ValueMAC>Su+NvtQfmvfJzF6bmQiJqoLRExc=
                  </ValueMAC>
                </Secret>
                <Counter>
                  <PlainValue>0</PlainValue>
                </Counter>
              </Data>
            </Key>
          </KeyPackage>
        </KeyContainer>
        """;

    /// <summary>RFC 6030 figure 7: password-based encryption, every element with a prefix.</summary>
    public const string Figure7 = $"""
        <?xml version="1.0" encoding="UTF-8"?>
        <pskc:KeyContainer xmlns:pskc="urn:ietf:params:xml:ns:keyprov:pskc" xmlns:xenc11="http://www.w3.org/2009/xmlenc11#"
            xmlns:pkcs5="http://www.rsasecurity.com/rsalabs/pkcs/schemas/pkcs-5v2-0#"
            xmlns:xenc="http://www.w3.org/2001/04/xmlenc#" Version="1.0">
          <pskc:EncryptionKey>{Figure7DerivedKeyElement}</pskc:EncryptionKey>
          <pskc:MACMethod Algorithm="http://www.w3.org/2000/09/xmldsig#hmac-sha1">
            <pskc:MACKey>
              <xenc:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#aes128-cbc"/>
              <xenc:CipherData>
                <xenc:CipherValue>
        2GTTnLwM3I4e5IO5FkufoOEiOhNj91fhKRQBtBJYluUDsPOLTfUvoU2dStyOwYZx
                </xenc:CipherValue>
              </xenc:CipherData>
            </pskc:MACKey>
          </pskc:MACMethod>
          <pskc:KeyPackage>
            <pskc:DeviceInfo>
              <pskc:Manufacturer>TokenVendorAcme</pskc:Manufacturer>
              <pskc:SerialNo>987654321</pskc:SerialNo>
            </pskc:DeviceInfo>
            <pskc:CryptoModuleInfo>
              <pskc:Id>CM_ID_001</pskc:Id>
            </pskc:CryptoModuleInfo>
            <pskc:Key Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:hotp" Id="123456">
              <pskc:Issuer>Example-Issuer</pskc:Issuer>
              <pskc:AlgorithmParameters>
                <pskc:ResponseFormat Length="8" Encoding="DECIMAL"/>
              </pskc:AlgorithmParameters>
              <pskc:Data>
                <pskc:Secret>
                  <pskc:EncryptedValue Id="ED">
                    <xenc:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#aes128-cbc"/>
                    <xenc:CipherData>
                      <xenc:CipherValue>
        oTvo+S22nsmS2Z/RtcoF8Hfh+jzMe0RkiafpoDpnoZTjPYZu6V+A4aEn032yCr4f
                      </xenc:CipherValue>
                    </xenc:CipherData>
                  </pskc:EncryptedValue>
                  <pskc:ValueMAC>LP6xMvjtypbfT9PdkJhBZ+D6O4w=
                  </pskc:ValueMAC>
                </pskc:Secret>
              </pskc:Data>
            </pskc:Key>
          </pskc:KeyPackage>
        </pskc:KeyContainer>
        """;

    public const string Figure7DerivedKeyElement = """
        <xenc11:DerivedKey>
          <xenc11:KeyDerivationMethod Algorithm="http://www.rsasecurity.com/rsalabs/pkcs/schemas/pkcs-5v2-0#pbkdf2">
            <pkcs5:PBKDF2-params>
              <Salt>
                <Specified>Ej7/PEpyEpw=</Specified>
              </Salt>
              <IterationCount>1000</IterationCount>
              <KeyLength>16</KeyLength>
              <PRF/>
            </pkcs5:PBKDF2-params>
          </xenc11:KeyDerivationMethod>
          <xenc:ReferenceList>
            <xenc:DataReference URI="#ED"/>
          </xenc:ReferenceList>
          <xenc11:MasterKeyName>My Password 1</xenc11:MasterKeyName>
        </xenc11:DerivedKey>
        """;

    /// <summary>RFC 6030 figure 10: bulk provisioning, four keys on three devices that differ in their validity.</summary>
    public static readonly string Figure10 =
        """<?xml version="1.0" encoding="UTF-8"?><KeyContainer Version="1.0" xmlns="urn:ietf:params:xml:ns:keyprov:pskc">"""
        + Figure10Package(1, "654321", "2006-05-01", "2006-05-31") + Figure10Package(2, "123456", "2006-05-01", "2006-05-31")
        + Figure10Package(3, "9999999", "2006-03-01", "2006-03-31") + Figure10Package(4, "9999999", "2006-04-01", "2006-04-30") + "</KeyContainer>";

    private static string Figure10Package(int id, string serial, string from, string until) => $"""
        <KeyPackage>
          <DeviceInfo>
            <Manufacturer>TokenVendorAcme</Manufacturer>
            <SerialNo>{serial}</SerialNo>
          </DeviceInfo>
          <Key Id="{id}" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:hotp">
            <Issuer>Issuer</Issuer>
            <AlgorithmParameters>
              <ResponseFormat Length="8" Encoding="DECIMAL"/>
            </AlgorithmParameters>
            <Data>
              <Secret>
                <PlainValue>
                  MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=
                </PlainValue>
              </Secret>
              <Counter>
                <PlainValue>0</PlainValue>
              </Counter>
            </Data>
            <Policy>
              <StartDate>{from}T00:00:00Z</StartDate>
              <ExpiryDate>{until}T00:00:00Z</ExpiryDate>
            </Policy>
          </Key>
        </KeyPackage>
        """;

    /// <summary>Two plain credentials that say everything a file may say.</summary>
    public const string Plain = """
        <?xml version="1.0" encoding="UTF-8"?>
        <KeyContainer Version="1.0" xmlns="urn:ietf:params:xml:ns:keyprov:pskc">
          <KeyPackage>
            <DeviceInfo>
              <Manufacturer>TokenVendorAcme</Manufacturer>
              <SerialNo>1</SerialNo>
            </DeviceInfo>
            <Key Id="VSMT00000001" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:totp">
              <Issuer>Issuer</Issuer>
              <AlgorithmParameters>
                <Suite>HMAC-SHA256</Suite>
                <ResponseFormat Encoding="DECIMAL" Length="8" CheckDigits="false"/>
              </AlgorithmParameters>
              <Data>
                <Secret><PlainValue>MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=</PlainValue></Secret>
                <Time><PlainValue>0</PlainValue></Time>
                <TimeInterval><PlainValue>60</PlainValue></TimeInterval>
                <TimeDrift><PlainValue>4</PlainValue></TimeDrift>
              </Data>
              <Policy>
                <StartDate>2026-04-01T00:00:00Z</StartDate>
                <ExpiryDate>2031-04-01T09:00:00+09:00</ExpiryDate>
                <KeyUsage>OTP</KeyUsage>
                <KeyUsage>CR</KeyUsage>
              </Policy>
            </Key>
          </KeyPackage>
          <KeyPackage>
            <Key Id="VSMT00000002" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc#totp">
              <AlgorithmParameters>
                <ResponseFormat Encoding="DECIMAL" Length="6"/>
              </AlgorithmParameters>
              <Data>
                <Secret><PlainValue>QUJDREVGR0hJSktMTU5PUA==</PlainValue></Secret>
              </Data>
            </Key>
          </KeyPackage>
        </KeyContainer>
        """;

    /// <summary>A figure with its HOTP key turned into a TOTP key.</summary>
    public static string AsTotp(string figure) => figure.Replace("pskc:hotp", "pskc:totp", StringComparison.Ordinal);

    /// <summary>The first occurrence replaced; a text that does not occur would make a test of nothing.</summary>
    public static string With(string file, string text, string replacement)
    {
        var at = file.IndexOf(text, StringComparison.Ordinal);
        Assert.That(at, Is.Not.Negative, $"the file has no {text}");
        return string.Concat(file.AsSpan(0, at), replacement, file.AsSpan(at + text.Length));
    }

    /// <summary>A file of one credential under AES-CBC, made with .NET's own primitives as RFC 6030 section 6.1 tells.</summary>
    public static string Encrypted(byte[] key, byte[] preSharedKey, byte[] macKey, string cipher, string mac, HashAlgorithmName hash)
    {
        var encryptedKey = Encrypt(key, preSharedKey);
        var valueMac = Convert.ToBase64String(CryptographicOperations.HmacData(hash, macKey, encryptedKey));
        return $"""
            <KeyContainer Version="1.0" xmlns="urn:ietf:params:xml:ns:keyprov:pskc"
                xmlns:ds="http://www.w3.org/2000/09/xmldsig#" xmlns:xenc="http://www.w3.org/2001/04/xmlenc#">
              <EncryptionKey><ds:KeyName>PSK-2026</ds:KeyName></EncryptionKey>
              <MACMethod Algorithm="{mac}"><MACKey>{EncryptedData(cipher, Encrypt(macKey, preSharedKey))}</MACKey></MACMethod>
              <KeyPackage>
                <Key Id="VSMT00000001" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:totp">
                  <AlgorithmParameters><ResponseFormat Encoding="DECIMAL" Length="6"/></AlgorithmParameters>
                  <Data>
                    <Secret>
                      <EncryptedValue>{EncryptedData(cipher, encryptedKey)}</EncryptedValue>
                      <ValueMAC>{valueMac}</ValueMAC>
                    </Secret>
                  </Data>
                </Key>
              </KeyPackage>
            </KeyContainer>
            """;
    }

    private static string EncryptedData(string cipher, byte[] value) => $"""
        <xenc:EncryptionMethod Algorithm="{cipher}"/>
        <xenc:CipherData><xenc:CipherValue>{Convert.ToBase64String(value)}</xenc:CipherValue></xenc:CipherData>
        """;

    private static byte[] Encrypt(byte[] plain, byte[] preSharedKey)
    {
        using var aes = Aes.Create();
        aes.Key = preSharedKey;
        // XML Encryption pads with any bytes before the length; the figures happen to have those of PKCS #7.
        return [.. aes.IV, .. aes.EncryptCbc(plain, aes.IV, PaddingMode.ISO10126)];
    }

    /// <summary>After RFC 6030 figure 2, with TOTP in the place of HOTP.</summary>
    public static string WithPlainKeys(params (string Id, byte[] Key)[] keys)
    {
        var packages = keys.Select(k =>
            $"""
            <KeyPackage>
              <DeviceInfo><Manufacturer>Manufacturer</Manufacturer><SerialNo>{k.Id}</SerialNo></DeviceInfo>
              <Key Id="{k.Id}" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:totp">
                <AlgorithmParameters><ResponseFormat Length="6" Encoding="DECIMAL"/></AlgorithmParameters>
                <Data>
                  <Secret><PlainValue>{Convert.ToBase64String(k.Key)}</PlainValue></Secret>
                  <TimeInterval><PlainValue>30</PlainValue></TimeInterval>
                </Data>
              </Key>
            </KeyPackage>
            """);
        return $"""
            <?xml version="1.0" encoding="UTF-8"?>
            <KeyContainer Version="1.0" Id="test" xmlns="urn:ietf:params:xml:ns:keyprov:pskc">
            {string.Join('\n', packages)}
            </KeyContainer>
            """;
    }
}
