using OtpAuthService.Credentials.Pskc;
using OtpAuthService.V1;

namespace OtpAuthService.Credentials;

/// <summary>The forms of a supplier's file, and who reads each.</summary>
internal static class ImportFormats
{
    public static IAsyncEnumerable<SuppliedEntry> Read(ImportFormat format, UploadedFile file, FileSecrets secrets, CancellationToken stop) => format switch
    {
        ImportFormat.Pskc => PskcReader.ReadAsync(file, secrets, stop),
        ImportFormat.OathCsv => OathCsvReader.ReadAsync(file, secrets, stop),
        ImportFormat.Vip => VipReader.ReadAsync(file, secrets, stop),
        _ => throw new InvalidOperationException($"Format {format} is not known."),
    };
}
