using System.Collections.Frozen;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace OtpAuthService.Callers;

/// <summary>
/// Which client certificates are believed: those under our own roots, and under no others, that are made for clients and not revoked.
/// </summary>
internal sealed class ClientTrust
{
    /// <summary>id-kp-clientAuth (RFC 5280 section 4.2.1.12).</summary>
    private const string ClientAuthentication = "1.3.6.1.5.5.7.3.2";

    private readonly X509Certificate2Collection roots = [];
    private readonly X509Certificate2Collection intermediates = [];
    private readonly RevokedCertificates revoked;

    private ClientTrust(X509Certificate2Collection certificates, RevokedCertificates revoked)
    {
        this.revoked = revoked;
        foreach (var certificate in certificates)
        {
            (certificate.SubjectName.RawData.AsSpan().SequenceEqual(certificate.IssuerName.RawData) ? roots : intermediates).Add(certificate);
        }

        if (roots.Count == 0)
        {
            throw new InvalidDataException("It holds no root certificate (PEM, self-signed).");
        }
    }

    public IEnumerable<X509Certificate2> Roots => roots;

    /// <inheritdoc cref="RevokedCertificates.IsDueAt"/>
    public DateTimeOffset? RevocationIsDueAt => revoked.IsDueAt;

    /// <param name="bundle">Roots, and intermediates where callers do not send theirs: PEM.</param>
    /// <param name="revoked">What <see cref="RevokedCertificates"/> reads; null: nothing is revoked.</param>
    /// <exception cref="InvalidDataException">One of them cannot be read.</exception>
    public static ClientTrust Read(byte[] bundle, byte[]? revoked)
    {
        var certificates = new X509Certificate2Collection();
        try
        {
            certificates.ImportFromPem(System.Text.Encoding.ASCII.GetString(bundle));
        }
        catch (CryptographicException unreadable)
        {
            throw new InvalidDataException($"The trusted certificates cannot be read: {unreadable.Message}", unreadable);
        }

        return new ClientTrust(certificates, revoked is null ? RevokedCertificates.None : RevokedCertificates.Read(revoked));
    }

    /// <param name="certificate">A client's.</param>
    /// <param name="sent">What it sent along to reach a root.</param>
    /// <param name="now">The moment of the validity check.</param>
    public bool Trusts(X509Certificate2 certificate, X509Certificate2Collection sent, DateTimeOffset now)
    {
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.AddRange(roots);
        chain.ChainPolicy.ExtraStore.AddRange(intermediates);
        chain.ChainPolicy.ExtraStore.AddRange(sent);
        chain.ChainPolicy.ApplicationPolicy.Add(new Oid(ClientAuthentication));
        // Revocation is our own list below: nothing is fetched while a client waits, and no address out of a certificate is called.
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.DisableCertificateDownloads = true;
        chain.ChainPolicy.VerificationTime = now.UtcDateTime;
        chain.ChainPolicy.VerificationTimeIgnored = false;
        return IsForClients(certificate) && chain.Build(certificate) && !chain.ChainElements.Any(e => revoked.Contains(e.Certificate));
    }

    /// <summary>Stated, and not left open: to a chain, a certificate without a stated use is good for every use.</summary>
    private static bool IsForClients(X509Certificate2 certificate) => certificate.Extensions
        .OfType<X509EnhancedKeyUsageExtension>()
        .Any(extension => extension.EnhancedKeyUsages.OfType<Oid>().Any(use => use.Value == ClientAuthentication));
}
