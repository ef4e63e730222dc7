using System.Security.Cryptography;
using System.Text;

namespace OtpAuthService.Tests.Credentials;

/// <summary>A long supplier's file (PSKC, plain keys), made while it is sent: nobody holds it as a whole.</summary>
internal static class SupplyStream
{
    private const string Head = """<?xml version="1.0" encoding="UTF-8"?><KeyContainer Version="1.0" xmlns="urn:ietf:params:xml:ns:keyprov:pskc">""" + "\n";

    /// <summary>The id of a credential by its number.</summary>
    public static string IdOf(int number) => $"LONG{number:D8}";

    /// <summary>The key of a credential by its number: 160 bits that anybody can compute again.</summary>
    public static byte[] KeyOf(int number) => SHA256.HashData(BitConverter.GetBytes(number))[..20];

    public static IEnumerable<byte[]> Pieces(int credentials, int size = 32 * 1024)
    {
        using var piece = new MemoryStream(2 * size);
        Write(Head);
        for (var number = 0; number < credentials; number++)
        {
            Write(
                $"""
                <KeyPackage><DeviceInfo><Manufacturer>Acme</Manufacturer><SerialNo>{number}</SerialNo></DeviceInfo>
                <Key Id="{IdOf(number)}" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:totp"><Issuer>Acme</Issuer>
                <AlgorithmParameters><ResponseFormat Length="6" Encoding="DECIMAL"/></AlgorithmParameters>
                <Data><Secret><PlainValue>{Convert.ToBase64String(KeyOf(number))}</PlainValue></Secret>
                <Time><PlainValue>0</PlainValue></Time><TimeInterval><PlainValue>30</PlainValue></TimeInterval></Data>
                <Policy><ExpiryDate>2034-12-31T00:00:00Z</ExpiryDate><KeyUsage>OTP</KeyUsage></Policy></Key></KeyPackage>

                """);
            if (piece.Length >= size)
            {
                yield return Take(size);
            }
        }

        Write("</KeyContainer>\n");
        while (piece.Length > 0)
        {
            yield return Take((int)Math.Min(size, piece.Length));
        }

        void Write(string text) => piece.Write(Encoding.UTF8.GetBytes(text));

        byte[] Take(int count)
        {
            var all = piece.ToArray();
            piece.SetLength(0);
            piece.Write(all.AsSpan(count));
            return all[..count];
        }
    }
}
