using System.Security.Cryptography;

namespace OtpAuthService.Tests.Credentials;

/// <summary>Answers of VIP's provisioning service.</summary>
internal static class VipFiles
{
    /// <summary>What VIP Access programs open keys with, as python-vipaccess has it.</summary>
    public static readonly byte[] PublishedKey = Convert.FromHexString("01AD9BC682A3AA93A9A3239A86D6CCD9");

    /// <summary>The key of <see cref="Recorded"/>, as the tests of python-vipaccess tell it.</summary>
    public static readonly byte[] RecordedKey = [.. "ZqeD"u8, 0xd9, .. "wg]\""u8, 0x12, 0x1f, .. "7"u8, 0xc7, .. "v6\""u8, 0xf0, 0x13, .. "\\i"u8];

    /// <summary>An answer that was recorded in 2014; it is in the tests of python-vipaccess (Apache License 2.0).</summary>
    public const string Recorded = """
        <?xml version="1.0" encoding="UTF-8"?>
        <GetSharedSecretResponse RequestId="1412030064" Version="2.0" xmlns="http://www.verisign.com/2006/08/vipservice">
          <Status>
            <ReasonCode>0000</ReasonCode>
            <StatusMessage>Success</StatusMessage>
          </Status>
          <SharedSecretDeliveryMethod>HTTPS</SharedSecretDeliveryMethod>
          <SecretContainer Version="1.0">
            <EncryptionMethod>
              <PBESalt>u5lgf1Ek8WA0iiIwVkjy26j6pfk=</PBESalt>
              <PBEIterationCount>50</PBEIterationCount>
              <IV>Fsg1KafmAX80gUEDADijHw==</IV>
            </EncryptionMethod>
            <Device>
              <Secret type="HOTP" Id="VSST26070843">
                <Issuer>OU = ID Protection Center, O = VeriSign, Inc.</Issuer>
                <Usage otp="true">
                  <AI type="HMAC-SHA1-TRUNC-6DIGITS"/>
                  <TimeStep>30</TimeStep>
                  <Time>0</Time>
                  <ClockDrift>4</ClockDrift>
                </Usage>
                <FriendlyName>OU = ID Protection Center, O = VeriSign, Inc.</FriendlyName>
                <Data>
                  <Cipher>ILBweOCEOoMBLJARzoeUIlu0+5m6b3khZljd5dozARk=</Cipher>
                  <Digest algorithm="HMAC-SHA1">MoaidW7XDzeTZJqhfRQCZEieARM=</Digest>
                </Data>
                <Expiry>2017-09-25T23:36:22.056Z</Expiry>
              </Secret>
            </Device>
          </SecretContainer>
          <UTCTimestamp>1412030065</UTCTimestamp>
        </GetSharedSecretResponse>

        """;

    /// <summary>The recorded answer with another credential in it, under a key of the test's own.</summary>
    public static string With(string id, byte[] key, byte[] openedBy, string expiry)
    {
        using var aes = Aes.Create();
        aes.Key = openedBy;
        var cipher = aes.EncryptCbc(key, Convert.FromBase64String("Fsg1KafmAX80gUEDADijHw=="), PaddingMode.PKCS7);
        return Recorded
            .Replace("VSST26070843", id, StringComparison.Ordinal)
            .Replace("ILBweOCEOoMBLJARzoeUIlu0+5m6b3khZljd5dozARk=", Convert.ToBase64String(cipher), StringComparison.Ordinal)
            .Replace("2017-09-25T23:36:22.056Z", expiry, StringComparison.Ordinal);
    }
}
