using System.Buffers;
using System.Buffers.Text;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace OtpAuthService.Keys;

/// <summary>
/// KEKs in a remote key management service with the HTTP API of HashiCorp Vault's Transit engine: a key of type aes256-gcm96, whose versions are
/// numbered there, wraps; one of type ecdsa-p256 signs. Stored is what the server made of it, <c>vault:v1:…</c>.
/// </summary>
internal sealed class TransitKek(TransitOptions options) : IKekProvider
{
    public const string Prefix = "transit:";

    private const int KeySize = 32;

    private readonly TransitClient client = new(options);

    public async ValueTask<string> NewestAsync(CancellationToken stop) => Name(await NewestNumberAsync(stop));

    public async ValueTask<string> AdvanceAsync(string current, CancellationToken stop)
    {
        var before = TryParse(current, out var number) ? number : 0;
        if (await NewestNumberAsync(stop) is var newest && newest > before)
        {
            return Name(newest);
        }

        // Two replicas at once, or an attempt whose answer was lost, make two versions: the newer one is taken, and nothing is lost.
        await client.CallAsync($"keys/{options.KekName}/rotate", _ => { }, _ => true, stop);
        newest = await NewestNumberAsync(stop);
        return newest > before
            ? Name(newest)
            : throw new KekUnavailableException($"The Transit server rotated {options.KekName}, and has no version after {before}.");
    }

    public async ValueTask<byte[]> WrapAsync(string version, ReadOnlyMemory<byte> key, ReadOnlyMemory<byte> associatedData, CancellationToken stop)
    {
        if (!TryParse(version, out var number))
        {
            throw new KekUnavailableException("The version is none of the Transit server's.");
        }

        var wrapped = await client.CallAsync(
            $"encrypt/{options.KekName}",
            json =>
            {
                json.WriteBase64String("plaintext", key.Span);
                json.WriteBase64String("associated_data", associatedData.Span);
                json.WriteNumber("key_version", number);
            },
            answer => Encoding.ASCII.GetBytes(Text(answer, "ciphertext")),
            stop);
        if (!wrapped.AsSpan().StartsWith(Marker(number)))
        {
            throw new KekUnavailableException($"The Transit server did not wrap with version {number}, as it was asked to.");
        }

        await CheckThatAssociatedDataCountsAsync(wrapped, associatedData, stop);
        return wrapped;
    }

    public async ValueTask UnwrapAsync(
        string version, ReadOnlyMemory<byte> wrapped, ReadOnlyMemory<byte> associatedData, Memory<byte> key, CancellationToken stop)
    {
        if (!TryParse(version, out var number) || !wrapped.Span.StartsWith(Marker(number)) || !Ascii.IsValid(wrapped.Span))
        {
            throw new CryptographicException("The version of the KEK is not known, or did not wrap this.");
        }

        await client.CallAsync(
            $"decrypt/{options.KekName}",
            json =>
            {
                json.WriteString("ciphertext", wrapped.Span);
                json.WriteBase64String("associated_data", associatedData.Span);
            },
            answer => ReadKey(answer.Span, key.Span),
            stop);
    }

    public async ValueTask<KekSignature> SignAsync(ReadOnlyMemory<byte> content, CancellationToken stop)
    {
        var digest = SHA256.HashData(content.Span);
        var marked = await client.CallAsync(
            $"sign/{options.SigningKeyName}",
            json =>
            {
                json.WriteBase64String("input", digest);
                json.WriteBoolean("prehashed", true);
                json.WriteString("hash_algorithm", "sha2-256");
                json.WriteString("marshaling_algorithm", "jws");
            },
            answer => Text(answer, "signature"),
            stop);
        // vault:v<version>:<r ‖ s in base64url>
        var parts = marked.Split(':');
        if (parts is not ["vault", ['v', .. var number], var value])
        {
            throw new KekUnavailableException("The Transit server signs in another form than Vault.");
        }

        var publicKey = await client.CallAsync($"keys/{options.SigningKeyName}", null, answer => PublicKey(answer, number), stop);
        return Checked(publicKey, value, digest);
    }

    /// <summary>Any version of the key that signs.</summary>
    public ValueTask<bool> IsSignerAsync(ReadOnlyMemory<byte> publicKey, CancellationToken stop) => new(client.CallAsync(
        $"keys/{options.SigningKeyName}", null, answer => HasPublicKey(answer, publicKey.Span), stop));

    public void Dispose() => client.Dispose();

    private static string Name(int number) => string.Create(CultureInfo.InvariantCulture, $"{Prefix}{number}");

    /// <summary>One name per version: signs, spaces and leading zeros name none.</summary>
    private static bool TryParse(string version, out int number)
    {
        number = 0;
        return version.StartsWith(Prefix, StringComparison.Ordinal)
            && int.TryParse(version.AsSpan(Prefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out number)
            && number > 0
            && Name(number) == version;
    }

    private static byte[] Marker(int number) => Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"vault:v{number}:"));

    private Task<int> NewestNumberAsync(CancellationToken stop) => client.CallAsync(
        $"keys/{options.KekName}",
        null,
        answer =>
        {
            using var document = JsonDocument.Parse(answer);
            var key = document.RootElement.GetProperty("data");
            if (key.GetProperty("type").GetString() != "aes256-gcm96" || key.GetProperty("derived").GetBoolean())
            {
                throw new KekUnavailableException($"{options.KekName} on the Transit server must be of type aes256-gcm96, not derived.");
            }

            return key.GetProperty("exportable").GetBoolean() || key.GetProperty("allow_plaintext_backup").GetBoolean()
                ? throw new KekUnavailableException($"{options.KekName} on the Transit server can be exported: make one that cannot.")
                : key.GetProperty("latest_version").GetInt32();
        },
        stop);

    /// <summary>
    /// Servers that do not know associated_data (Vault before 1.13) pass over it, and would open the key of one row in another: what was wrapped
    /// must not open with other data.
    /// </summary>
    private async Task CheckThatAssociatedDataCountsAsync(byte[] wrapped, ReadOnlyMemory<byte> associatedData, CancellationToken stop)
    {
        byte[] other = [.. associatedData.Span, 0];
        try
        {
            await client.CallAsync(
                $"decrypt/{options.KekName}",
                json =>
                {
                    json.WriteString("ciphertext", wrapped);
                    json.WriteBase64String("associated_data", other);
                },
                _ => true,
                stop);
        }
        catch (CryptographicException)
        {
            return;
        }

        throw new KekUnavailableException("The Transit server passes over associated_data: it is too old to wrap keys for this service.");
    }

    private static string Text(ReadOnlyMemory<byte> answer, string member)
    {
        using var document = JsonDocument.Parse(answer);
        return document.RootElement.GetProperty("data").GetProperty(member).GetString()!;
    }

    /// <summary>data.plaintext, without a string or a buffer that would be left behind.</summary>
    private static bool ReadKey(ReadOnlySpan<byte> answer, Span<byte> key)
    {
        var reader = new Utf8JsonReader(answer);
        // Every character of the Base64 may be escaped, in six.
        Span<byte> text = stackalloc byte[6 * Base64.GetMaxEncodedToUtf8Length(KeySize)];
        Span<byte> decoded = stackalloc byte[Base64.GetMaxDecodedFromUtf8Length(text.Length)];
        reader.Read();
        Enter(ref reader, "data"u8);
        Enter(ref reader, "plaintext"u8);
        try
        {
            if (reader.TokenType != JsonTokenType.String || reader.ValueSpan.Length > text.Length)
            {
                throw new FormatException();
            }

            var status = Base64.DecodeFromUtf8(text[..reader.CopyString(text)], decoded, out _, out var length);
            return status == OperationStatus.Done && length == KeySize && decoded[..length].TryCopyTo(key) ? true : throw new FormatException();
        }
        finally
        {
            CryptographicOperations.ZeroMemory(text);
            CryptographicOperations.ZeroMemory(decoded);
        }
    }

    /// <summary>From the start of an object to the value of one of its members.</summary>
    private static void Enter(ref Utf8JsonReader reader, ReadOnlySpan<byte> member)
    {
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var found = reader.ValueTextEquals(member);
            reader.Read();
            if (found)
            {
                return;
            }

            reader.Skip();
        }

        throw new FormatException();
    }

    private static bool HasPublicKey(ReadOnlyMemory<byte> answer, ReadOnlySpan<byte> publicKey)
    {
        using var document = JsonDocument.Parse(answer);
        foreach (var version in document.RootElement.GetProperty("data").GetProperty("keys").EnumerateObject())
        {
            if (PublicKey(answer, version.Name).AsSpan().SequenceEqual(publicKey))
            {
                return true;
            }
        }

        return false;
    }

    private static byte[] PublicKey(ReadOnlyMemory<byte> answer, string number)
    {
        using var document = JsonDocument.Parse(answer);
        var pem = document.RootElement.GetProperty("data").GetProperty("keys").GetProperty(number).GetProperty("public_key").GetString();
        try
        {
            using var ecdsa = ECDsa.Create();
            ecdsa.ImportFromPem(pem);
            return ecdsa.ExportSubjectPublicKeyInfo();
        }
        catch (Exception unreadable) when (unreadable is ArgumentException or CryptographicException)
        {
            throw new FormatException("no public key of an elliptic curve", unreadable);
        }
    }

    private KekSignature Checked(byte[] publicKey, string value, byte[] digest)
    {
        try
        {
            var signature = new KekSignature(publicKey, Base64Url.DecodeFromChars(value));
            if (signature.IsOver(digest))
            {
                return signature;
            }
        }
        catch (FormatException)
        {
        }

        throw new KekUnavailableException($"What the Transit server signs with {options.SigningKeyName} is no signature by that key on P-256.");
    }
}
