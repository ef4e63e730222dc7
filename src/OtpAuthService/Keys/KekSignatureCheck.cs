using System.Security.Cryptography;

namespace OtpAuthService.Keys;

/// <summary>A provider's signature and its public key come by different ways: they are compared before they are believed.</summary>
internal static class KekSignatureCheck
{
    /// <summary>Whether it is a signature over content with this SHA-256, by the key that stands beside it, on P-256.</summary>
    public static bool IsOver(this KekSignature signature, ReadOnlySpan<byte> digest)
    {
        using var ecdsa = ECDsa.Create();
        ecdsa.ImportSubjectPublicKeyInfo(signature.PublicKey, out _);
        return ecdsa.ExportParameters(includePrivateParameters: false).Curve.Oid.Value == ECCurve.NamedCurves.nistP256.Oid.Value
            && ecdsa.VerifyHash(digest, signature.Value, DSASignatureFormat.IeeeP1363FixedFieldConcatenation);
    }
}
