using System.Formats.Asn1;
using System.Security.Cryptography.X509Certificates;

namespace OtpAuthService.Callers;

/// <summary>
/// The name by which a certificate says who its holder is: its one URI of the subject alternative names (RFC 5280 section 4.2.1.6), as
/// SPIFFE has it; without any URI, its one DNS name, written <c>dns:host</c>. The subject itself is free text and names nobody.
/// </summary>
internal static class CertificateNames
{
    private const string SubjectAlternativeName = "2.5.29.17";
    private const string Dns = "dns:";
    private static readonly Asn1Tag UriTag = new(TagClass.ContextSpecific, 6);
    private static readonly Asn1Tag DnsTag = new(TagClass.ContextSpecific, 2);

    /// <returns>Null where there is none, or more than one: then it is not known which of them is meant.</returns>
    public static string? NameOf(X509Certificate2 certificate)
    {
        List<string> uris = [], hosts = [];
        foreach (var extension in certificate.Extensions.Where(e => e.Oid?.Value == SubjectAlternativeName))
        {
            try
            {
                Read(extension.RawData, uris, hosts);
            }
            catch (AsnContentException)
            {
                return null;
            }
        }

        return (uris, hosts) switch
        {
            ([var uri], _) => uri,
            ([], [var host]) => Dns + host.ToLowerInvariant(),
            _ => null,
        };
    }

    /// <summary>Whether a caller can be called so in the callers' file.</summary>
    public static bool IsName(string text) =>
        text.Length <= 512
        && (text.StartsWith(Dns, StringComparison.Ordinal)
            ? Uri.CheckHostName(text[Dns.Length..]) == UriHostNameType.Dns && !text.Any(char.IsAsciiLetterUpper)
            : Uri.TryCreate(text, UriKind.Absolute, out var uri) && text.Contains("://", StringComparison.Ordinal) && uri.Scheme.Length > 0);

    private static void Read(byte[] extension, List<string> uris, List<string> hosts)
    {
        var names = new AsnReader(extension, AsnEncodingRules.DER).ReadSequence();
        while (names.HasData)
        {
            var tag = names.PeekTag();
            if (tag.HasSameClassAndValue(UriTag))
            {
                uris.Add(names.ReadCharacterString(UniversalTagNumber.IA5String, UriTag));
            }
            else if (tag.HasSameClassAndValue(DnsTag))
            {
                hosts.Add(names.ReadCharacterString(UniversalTagNumber.IA5String, DnsTag));
            }
            else
            {
                names.ReadEncodedValue();
            }
        }
    }
}
