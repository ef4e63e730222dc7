using System.Text;

namespace OtpAuthService.Keys;

/// <summary>
/// A key that wraps keys of credentials, or the service key, itself wrapped by a KEK. Every version that anything is wrapped under is in the table, and
/// only those: the newest of its use is the one that wraps.
/// </summary>
internal sealed class DataKey
{
    /// <summary>AES-256.</summary>
    public const int SizeInBytes = 32;

    /// <summary>Unique over all uses and never given twice.</summary>
    public required int Version { get; init; }

    public required DataKeyUse Use { get; init; }

    /// <summary>The version of the KEK that wraps it, as the provider calls it.</summary>
    public required string KekVersion { get; set; }

    public required byte[] WrappedKey { get; set; }

    public required DateTimeOffset CreatedAt { get; init; }

    /// <summary>What the wrapping authenticates beside the key: a wrapped key moved to another row does not open.</summary>
    public byte[] AssociatedData => Encoding.UTF8.GetBytes($"otpauth.v1 data key\n{Version}\n{(int)Use}");
}

/// <summary>Data keys on their way through a KEK provider.</summary>
internal static class DataKeyWrapping
{
    public static async Task<DataKey> WrapAsync(
        this IKekProvider kek, PinnedKey key, int version, DataKeyUse use, string kekVersion, DateTimeOffset now, CancellationToken stop)
    {
        var row = new DataKey { Version = version, Use = use, KekVersion = kekVersion, WrappedKey = [], CreatedAt = now };
        row.WrappedKey = await kek.WrapAsync(kekVersion, key.AsMemory(), row.AssociatedData, stop);
        return row;
    }

    /// <inheritdoc cref="IKekProvider.UnwrapAsync" path="/exception"/>
    public static async Task<PinnedKey> OpenAsync(this IKekProvider kek, DataKey row, CancellationToken stop)
    {
        var key = new PinnedKey(DataKey.SizeInBytes);
        try
        {
            await kek.UnwrapAsync(row.KekVersion, row.WrappedKey, row.AssociatedData, key.AsMemory(), stop);
            return key;
        }
        catch
        {
            key.Dispose();
            throw;
        }
    }
}

/// <summary>What a data key is for. Stored as a number: never renumber.</summary>
internal enum DataKeyUse
{
    /// <summary>Wraps keys of credentials.</summary>
    Credentials = 1,

    /// <summary>The service key: others are derived from it, for fingerprints of requests and names in Redis. It is never replaced, only wrapped anew.</summary>
    Service = 2,
}
