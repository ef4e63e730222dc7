using System.Collections.Frozen;
using System.Formats.Asn1;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace OtpAuthService.Callers;

/// <summary>
/// Certificates that are not believed any more. The file may hold revocation lists (RFC 5280 section 5: PEM, "X509 CRL") and lines with SHA-256
/// fingerprints of single certificates (hexadecimal, with or without colons; # begins a comment). It is trusted as the roots beside it
/// are: a list's own signature adds nothing and is not looked at.
/// </summary>
internal sealed class RevokedCertificates
{
    private const string ListLabel = "X509 CRL";

    private readonly FrozenSet<string> serials;
    private readonly FrozenSet<string> fingerprints;

    private RevokedCertificates(IEnumerable<string> serials, IEnumerable<string> fingerprints, DateTimeOffset? isDueAt)
    {
        IsDueAt = isDueAt;
        this.serials = serials.ToFrozenSet(StringComparer.Ordinal);
        this.fingerprints = fingerprints.ToFrozenSet(StringComparer.Ordinal);
    }

    public static RevokedCertificates None { get; } = new([], [], isDueAt: null);

    /// <summary>When the first of the revocation lists is to be followed by a newer one (RFC 5280 section 5.1.2.5); null where none says so.</summary>
    public DateTimeOffset? IsDueAt { get; }

    /// <exception cref="InvalidDataException">It holds something else.</exception>
    public static RevokedCertificates Read(byte[] file)
    {
        var text = Encoding.ASCII.GetString(file);
        List<string> serials = [], lines = [];
        DateTimeOffset? due = null;
        var rest = text.AsSpan();
        while (PemEncoding.TryFind(rest, out var block))
        {
            if (!rest[block.Label].SequenceEqual(ListLabel))
            {
                throw new InvalidDataException($"A PEM block must be '{ListLabel}', not '{rest[block.Label]}'.");
            }

            lines.AddRange(rest[..block.Location.Start].ToString().Split('\n'));
            var (listed, nextUpdate) = ReadList(Convert.FromBase64String(rest[block.Base64Data].ToString()));
            serials.AddRange(listed);
            due = due < nextUpdate ? due : nextUpdate ?? due;
            rest = rest[block.Location.End..];
        }

        lines.AddRange(rest.ToString().Split('\n'));
        return new RevokedCertificates(serials, lines.Select(line => line.Split('#')[0].Trim()).Where(line => line.Length > 0).Select(ReadFingerprint), due);
    }

    public bool Contains(X509Certificate2 certificate) =>
        serials.Contains(KeyOf(certificate.IssuerName.RawData, certificate.SerialNumberBytes.Span))
        || fingerprints.Contains(certificate.GetCertHashString(HashAlgorithmName.SHA256));

    /// <summary>A serial number is unique within its issuer only.</summary>
    private static string KeyOf(ReadOnlySpan<byte> issuer, ReadOnlySpan<byte> serial) =>
        $"{Convert.ToHexString(SHA256.HashData(issuer))}:{Convert.ToHexString(serial.TrimStart((byte)0))}";

    private static string ReadFingerprint(string line)
    {
        var hex = line.Replace(":", "", StringComparison.Ordinal).ToUpperInvariant();
        return hex.Length == 2 * SHA256.HashSizeInBytes && hex.All(char.IsAsciiHexDigit)
            ? hex
            : throw new InvalidDataException($"'{line}' is neither a revocation list in PEM nor a SHA-256 fingerprint.");
    }

    /// <summary>TBSCertList of RFC 5280 section 5.1, as far as its entries.</summary>
    private static (List<string> Serials, DateTimeOffset? NextUpdate) ReadList(byte[] der)
    {
        try
        {
            var list = new AsnReader(der, AsnEncodingRules.DER).ReadSequence().ReadSequence();
            if (list.PeekTag().HasSameClassAndValue(Asn1Tag.Integer))
            {
                list.ReadInteger();
            }

            list.ReadSequence();
            var issuer = list.ReadEncodedValue();
            ReadTime(list);
            DateTimeOffset? nextUpdate = list.HasData && IsTime(list.PeekTag()) ? ReadTime(list) : null;

            var found = new List<string>();
            if (list.HasData && list.PeekTag().HasSameClassAndValue(Asn1Tag.Sequence))
            {
                var entries = list.ReadSequence();
                while (entries.HasData)
                {
                    found.Add(KeyOf(issuer.Span, entries.ReadSequence().ReadIntegerBytes().Span));
                }
            }

            return (found, nextUpdate);
        }
        catch (AsnContentException broken)
        {
            throw new InvalidDataException("A revocation list cannot be read.", broken);
        }
    }

    private static bool IsTime(Asn1Tag tag) =>
        tag.HasSameClassAndValue(Asn1Tag.UtcTime) || tag.HasSameClassAndValue(Asn1Tag.GeneralizedTime);

    private static DateTimeOffset ReadTime(AsnReader list) =>
        list.PeekTag().HasSameClassAndValue(Asn1Tag.UtcTime) ? list.ReadUtcTime() : list.ReadGeneralizedTime();
}
