using System.ComponentModel.DataAnnotations;

namespace OtpAuthService.Keys;

/// <summary>KEKs in a hardware security module, which is spoken to through its PKCS#11 module (OASIS PKCS #11 v2.40).</summary>
internal sealed class Pkcs11Options : IValidatableObject
{
    /// <summary>The module's shared library, as an absolute path.</summary>
    public string? ModuleFile { get; set; }

    /// <summary>Label of the token that holds the keys. A slot's number is none to rely on: it changes.</summary>
    public string? TokenLabel { get; set; }

    /// <summary>The user's PIN; better given as the path of a file that holds it. A wrong one is tried once: tokens lock themselves.</summary>
    public string? Pin { get; set; }

    /// <summary>Label (CKA_LABEL) of every version of the KEK; default <c>otp-kek</c>.</summary>
    public string KekLabel { get; set; } = "otp-kek";

    /// <summary>Label of the key pair that signs; default <c>otp-audit-signing</c>.</summary>
    public string SigningKeyLabel { get; set; } = "otp-audit-signing";

    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (!Path.IsPathFullyQualified(ModuleFile ?? ""))
        {
            yield return new ValidationResult("Pkcs11__ModuleFile must be the absolute path of the PKCS#11 module.");
        }

        if (string.IsNullOrEmpty(TokenLabel) || string.IsNullOrEmpty(Pin))
        {
            yield return new ValidationResult("Pkcs11__TokenLabel and Pkcs11__Pin (better: OtpAuth__Pkcs11__Pin_FILE) must be set.");
        }

        if (string.IsNullOrEmpty(KekLabel) || string.IsNullOrEmpty(SigningKeyLabel))
        {
            yield return new ValidationResult("Pkcs11__KekLabel and Pkcs11__SigningKeyLabel must not be empty.");
        }
    }
}
