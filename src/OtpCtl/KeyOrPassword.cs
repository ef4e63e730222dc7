using System.Text;

namespace OtpCtl;

/// <summary>What a file with keys is encrypted with, read from another file or from stdin.</summary>
internal static class KeyOrPassword
{
    public static async Task<byte[]> ReadKeyAsync(FileInfo file, CancellationToken cancellation) =>
        ParseKey(await File.ReadAllTextAsync(file.FullName, cancellation));

    public static async Task<byte[]> ReadPasswordAsync(FileInfo file, CancellationToken cancellation) =>
        Encoding.UTF8.GetBytes((await File.ReadAllLinesAsync(file.FullName, cancellation)).FirstOrDefault() ?? "");

    /// <exception cref="UsageException">It is not hex.</exception>
    public static byte[] ParseKey(string hex)
    {
        try
        {
            return Convert.FromHexString(hex.Trim());
        }
        catch (FormatException)
        {
            throw new UsageException("the pre-shared key is not in hex.");
        }
    }
}
