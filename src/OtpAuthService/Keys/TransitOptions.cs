using System.ComponentModel.DataAnnotations;
using System.Net;

namespace OtpAuthService.Keys;

/// <summary>KEKs in a remote key management service that speaks the HTTP API of HashiCorp Vault's Transit secrets engine.</summary>
internal sealed class TransitOptions : IValidatableObject
{
    /// <summary>Where it listens: <c>https://vault.example:8200</c>. Plain http is taken to loopback addresses only: data keys go over it.</summary>
    public string? Address { get; set; }

    /// <summary>Sent as X-Vault-Token; better given as the path of a file that holds it.</summary>
    public string? Token { get; set; }

    /// <summary>Sent as X-Vault-Namespace; optional.</summary>
    public string? Namespace { get; set; }

    /// <summary>Where the engine is mounted; default <c>transit</c>.</summary>
    public string Mount { get; set; } = "transit";

    /// <summary>Name of the KEK, of type aes256-gcm96; default <c>otp-kek</c>.</summary>
    public string KekName { get; set; } = "otp-kek";

    /// <summary>Name of the key that signs, of type ecdsa-p256; default <c>otp-audit-signing</c>.</summary>
    public string SigningKeyName { get; set; } = "otp-audit-signing";

    /// <summary>Roots under which the server's certificate is believed, PEM; without it those of the system.</summary>
    public string? TrustFile { get; set; }

    /// <summary>The address; null where it is none that may be used.</summary>
    public Uri? Server => Uri.TryCreate(Address, UriKind.Absolute, out var uri) && (uri.Scheme == Uri.UriSchemeHttps || IsPlainToLoopback(uri)) ? uri : null;

    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (Server is null)
        {
            yield return new ValidationResult("Transit__Address must be an https address; http is taken to 127.0.0.1 and ::1 only.");
        }

        if (string.IsNullOrEmpty(Token) || !Token.All(c => c is > ' ' and <= '~'))
        {
            yield return new ValidationResult("Transit__Token (better: OtpAuth__Transit__Token_FILE) must be set, in one line of ASCII.");
        }

        if (Namespace?.All(c => c is > ' ' and <= '~') == false)
        {
            yield return new ValidationResult("Transit__Namespace must be ASCII without spaces.");
        }

        if (!Mount.Split('/').All(IsName) || !IsName(KekName) || !IsName(SigningKeyName))
        {
            yield return new ValidationResult("Transit__KekName, Transit__SigningKeyName and every part of Transit__Mount must be of [A-Za-z0-9._-].");
        }

        if (TrustFile is not null && !File.Exists(TrustFile))
        {
            yield return new ValidationResult($"Transit__TrustFile names {TrustFile}, which does not exist.");
        }
    }

    /// <summary>By number: what a name leads to is not for this machine to say.</summary>
    private static bool IsPlainToLoopback(Uri uri) =>
        uri.Scheme == Uri.UriSchemeHttp && IPAddress.TryParse(uri.DnsSafeHost, out var host) && IPAddress.IsLoopback(host);

    private static bool IsName(string text) =>
        text.Length > 0 && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-') && text.Any(char.IsAsciiLetterOrDigit);
}
