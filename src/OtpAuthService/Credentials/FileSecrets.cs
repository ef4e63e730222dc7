using System.Security.Cryptography;

namespace OtpAuthService.Credentials;

/// <summary>What opens a file with encrypted keys: a pre-shared key, or a password. At most one of them has bytes.</summary>
internal sealed class FileSecrets(byte[] preSharedKey, byte[] password) : IDisposable
{
    public ReadOnlySpan<byte> PreSharedKey => preSharedKey;

    public ReadOnlySpan<byte> Password => password;

    public void Dispose()
    {
        CryptographicOperations.ZeroMemory(preSharedKey);
        CryptographicOperations.ZeroMemory(password);
    }
}
