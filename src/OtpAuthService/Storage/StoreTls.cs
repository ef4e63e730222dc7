using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Npgsql;
using OtpAuthService.Callers;
using OtpAuthService.Hosting;
using StackExchange.Redis;

namespace OtpAuthService.Storage;

/// <summary>TLS to PostgreSQL and to Redis: what their libraries leave open, and whether a connection can do without it.</summary>
internal static class StoreTls
{
    /// <summary>Redis's connection string has no place for these files.</summary>
    /// <exception cref="InvalidDataException">They cannot be used.</exception>
    public static void UseFiles(this ConfigurationOptions redis, RedisTlsOptions files)
    {
        if (!redis.Ssl)
        {
            throw new InvalidDataException("OtpAuth__Redis names files for TLS, but ConnectionStrings__Redis does not ask for it: add ssl=true.");
        }

        try
        {
            _ = HandshakeWith("");
        }
        catch (Exception broken) when (broken is CryptographicException or ArgumentException or IOException or UnauthorizedAccessException)
        {
            throw new InvalidDataException($"The files under OtpAuth__Redis cannot be used: {broken.Message}");
        }

        // For each connection anew: renewed files serve from the next one on.
        redis.SslClientAuthenticationOptions = HandshakeWith;

        SslClientAuthenticationOptions HandshakeWith(string host) => new()
        {
            TargetHost = host,
            EnabledSslProtocols = redis.SslProtocols ?? SslProtocols.None,
            CertificateRevocationCheckMode = redis.CheckCertificateRevocation ? X509RevocationMode.Online : X509RevocationMode.NoCheck,
            CertificateChainPolicy = files.TrustFile is { } trust ? OnlyUnder(trust) : null,
            ClientCertificateContext = files is { CertificateFile: { } certificate, KeyFile: { } key }
                ? CallerTls.ReadCertificate([File.ReadAllBytes(certificate), File.ReadAllBytes(key)])
                : null,
        };
    }

    /// <summary>Whether nothing forbids that a connection goes over a network in plaintext.</summary>
    public static bool MayBePlaintext(NpgsqlConnectionStringBuilder postgres) =>
        // Prefer, the default, is content without where the server, or somebody between, says that it has no TLS.
        postgres.SslMode is not (SslMode.Require or SslMode.VerifyCA or SslMode.VerifyFull)
        && !(postgres.Host ?? "").Split(',', StringSplitOptions.TrimEntries).All(IsOnThisMachine);

    /// <inheritdoc cref="MayBePlaintext(NpgsqlConnectionStringBuilder)"/>
    public static bool MayBePlaintext(ConfigurationOptions redis) => !redis.Ssl && !redis.EndPoints.All(endpoint => endpoint switch
    {
        UnixDomainSocketEndPoint => true,
        IPEndPoint address => IPAddress.IsLoopback(address.Address),
        DnsEndPoint named => IsLocalhost(named.Host),
        _ => false,
    });

    /// <param name="host">As Npgsql takes it: a name or an address, with or without a port; or the folder of a Unix socket, or an abstract one.</param>
    private static bool IsOnThisMachine(string host) =>
        host is ['/' or '@', ..]
        || (IPEndPoint.TryParse(host, out var address) ? IPAddress.IsLoopback(address.Address) : IsLocalhost(host.Split(':')[0]));

    private static bool IsLocalhost(string name) => name.Equals("localhost", StringComparison.OrdinalIgnoreCase);

    /// <summary>These roots and no others. Their revocation lists are not asked for: authorities of one's own seldom publish any.</summary>
    private static X509ChainPolicy OnlyUnder(string trustFile)
    {
        var policy = new X509ChainPolicy
        {
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            RevocationMode = X509RevocationMode.NoCheck,
            DisableCertificateDownloads = true,
        };
        policy.CustomTrustStore.ImportFromPemFile(trustFile);
        return policy.CustomTrustStore.Count > 0 ? policy : throw new CryptographicException($"{trustFile} holds no certificate (PEM).");
    }
}
