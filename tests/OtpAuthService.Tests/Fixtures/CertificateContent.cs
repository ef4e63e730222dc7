using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace OtpAuthService.Tests.Fixtures;

/// <summary>What is to stand in a certificate: the right content, changed by a <c>with</c> where a test wants it wrong.</summary>
internal sealed record CertificateContent
{
    public const string FrontendUri = "spiffe://bank.example/caller/frontend-1";

    public const string ServerUse = "1.3.6.1.5.5.7.3.1";

    public const string ClientUse = "1.3.6.1.5.5.7.3.2";

    /// <summary>A server on this machine, by name and by address.</summary>
    public static readonly CertificateContent Server = new()
    {
        Name = "server",
        Uses = [ServerUse],
        DnsNames = ["localhost"],
        Addresses = [IPAddress.Loopback, IPAddress.IPv6Loopback],
    };

    /// <summary>A caller of the service.</summary>
    public static readonly CertificateContent Client = new() { Name = "client", Uses = [ClientUse], Uris = [FrontendUri] };

    /// <summary>Common name, and the first part of its files' names.</summary>
    public required string Name { get; init; }

    /// <summary>Extended key usages; without any, the certificate has no such extension and may be used for everything.</summary>
    public string[] Uses { get; init; } = [];

    public string[] Uris { get; init; } = [];

    public string[] DnsNames { get; init; } = [];

    public IPAddress[] Addresses { get; init; } = [];

    /// <summary>From now; not more than 30 days ago.</summary>
    public TimeSpan ValidFrom { get; init; } = TimeSpan.FromDays(-1);

    /// <summary>From now; negative: expired. At most 30 days.</summary>
    public TimeSpan ValidUntil { get; init; } = TimeSpan.FromDays(10);

    public CertificateContent Expired() => this with { ValidFrom = TimeSpan.FromDays(-2), ValidUntil = TimeSpan.FromDays(-1) };

    public CertificateContent NotYetValid() => this with { ValidFrom = TimeSpan.FromDays(1), ValidUntil = TimeSpan.FromDays(2) };

    public CertificateRequest Request(ECDsa key)
    {
        var request = new CertificateRequest($"CN={Name}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(X509BasicConstraintsExtension.CreateForEndEntity());
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, critical: true));
        if (Uris.Length + DnsNames.Length + Addresses.Length > 0)
        {
            request.CertificateExtensions.Add(AlternativeNames());
        }

        if (Uses.Length > 0)
        {
            request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([.. Uses.Select(use => new Oid(use))], critical: false));
        }

        return request;
    }

    private X509Extension AlternativeNames()
    {
        var names = new SubjectAlternativeNameBuilder();
        Array.ForEach(Uris, uri => names.AddUri(new Uri(uri)));
        Array.ForEach(DnsNames, names.AddDnsName);
        Array.ForEach(Addresses, names.AddIpAddress);
        return names.Build();
    }
}
