using System.Security.Cryptography.X509Certificates;

namespace OtpAuthService.Client;

/// <summary>
/// Who the caller is and whom it believes, for an <c>https</c> address. Files are read again for each new connection, so that a
/// certificate is replaced by replacing its files: no restart, no failed call. A set of files that is wrong or half-written is passed
/// over for the one before, as long as that is valid.
/// </summary>
public sealed class OtpAuthTls
{
    /// <summary>
    /// PEM: the client certificate, followed by its intermediates where there are some. The service knows its caller by the one URI among
    /// the subject alternative names. Without a certificate the channel can be made, but the service may refuse it.
    /// </summary>
    public string? CertificateFile { get; init; }

    /// <summary>PEM: the certificate's private key, not encrypted. Default: in <see cref="CertificateFile"/> as well.</summary>
    public string? KeyFile { get; init; }

    /// <summary>
    /// Instead of files, such as from a certificate store: with its private key. It stays the caller's to dispose, after the channel.
    /// </summary>
    public X509Certificate2? Certificate { get; init; }

    /// <summary>PEM: the roots that the service's certificate may lead to, and no others. Default: those that the system trusts.</summary>
    public string? TrustFile { get; init; }

    /// <summary>
    /// How long a connection is used, 1 s to 1 day; calls under way when it ends are finished on it. Default: 5 minutes, which is
    /// therefore how soon a replaced certificate is out of use and a new replica behind a load balancer gets its share, at the price of a
    /// handshake of milliseconds.
    /// </summary>
    public TimeSpan ConnectionLifetime { get; init; } = TimeSpan.FromMinutes(5);

    internal void Validate()
    {
        if (Certificate is not null && (CertificateFile is not null || KeyFile is not null))
        {
            throw new ArgumentException("A client certificate comes from files or as an object, not both.");
        }

        if (KeyFile is not null && CertificateFile is null)
        {
            throw new ArgumentException($"The key '{KeyFile}' is given without its certificate.");
        }

        if (ConnectionLifetime < TimeSpan.FromSeconds(1) || ConnectionLifetime > TimeSpan.FromDays(1))
        {
            throw new ArgumentException($"A connection is used for 1 s to 1 day, not {ConnectionLifetime}.");
        }
    }
}
