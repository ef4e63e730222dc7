using System.Buffers;
using System.Net;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using Polly;
using Polly.Retry;
using Polly.Timeout;

namespace OtpAuthService.Keys;

/// <summary>
/// Calls of the Transit engine's HTTP API. Requests and answers hold keys: they lie in buffers that are zeroed, up to where HTTP takes them over.
/// No exception holds what was sent or answered.
/// </summary>
internal sealed class TransitClient : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    /// <summary>Far above the list of a key's versions, which is the longest answer.</summary>
    private const int LongestAnswer = 256 * 1024;

    /// <summary>Vault's words for ciphertexts that do not open; some versions say them with status 500 (hashicorp/vault issue 10842).</summary>
    private static readonly string[] RefusedCiphertexts =
        ["invalid ciphertext", "message authentication failed", "ciphertext or signature version is disallowed by policy"];

    private readonly TransitOptions options;
    private readonly Uri root;
    private readonly HttpClient http;
    private readonly ResiliencePipeline pipeline = new ResiliencePipelineBuilder()
        .AddRetry(new RetryStrategyOptions
        {
            MaxRetryAttempts = 2,
            Delay = TimeSpan.FromMilliseconds(100),
            BackoffType = DelayBackoffType.Exponential,
            UseJitter = true,
            ShouldHandle = new PredicateBuilder().Handle<HttpRequestException>().Handle<IOException>().Handle<TimeoutRejectedException>(),
        })
        .AddTimeout(Patience)
        .Build();

    /// <exception cref="InvalidDataException">The address or the file of roots cannot be used.</exception>
    public TransitClient(TransitOptions options)
    {
        this.options = options;
        var server = options.Server
            ?? throw new InvalidDataException("The address of the Transit server must be https; http is taken to 127.0.0.1 and ::1 only.");
        root = new Uri($"{server.GetLeftPart(UriPartial.Path).TrimEnd('/')}/v1/{options.Mount}/");
        // A redirect would take the token to another server.
        http = new HttpClient(new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            UseCookies = false,
            UseProxy = server.Scheme == Uri.UriSchemeHttps,
            PooledConnectionLifetime = TimeSpan.FromMinutes(5),
            SslOptions = Tls(options.TrustFile),
        })
        {
            Timeout = Timeout.InfiniteTimeSpan,
        };
    }

    /// <param name="path">Under the mount: <c>keys/otp-kek</c>.</param>
    /// <param name="write">Writes the members of the request's JSON; without it, it is a GET.</param>
    /// <param name="read">Takes what is needed of an answer.</param>
    /// <param name="stop">Ends the call.</param>
    /// <exception cref="KekUnavailableException">No answer, or another than the documented one.</exception>
    /// <exception cref="CryptographicException">The server refuses a ciphertext.</exception>
    public async Task<T> CallAsync<T>(string path, Action<Utf8JsonWriter>? write, Func<ReadOnlyMemory<byte>, T> read, CancellationToken stop)
    {
        using var request = new SecretBuffer();
        if (write is not null)
        {
            request.Write(write);
        }

        try
        {
            return await pipeline.ExecuteAsync(async attempt => await AttemptAsync(path, write is null ? null : request, read, attempt), stop);
        }
        catch (Exception failure) when (failure is HttpRequestException or IOException or TimeoutRejectedException)
        {
            throw new KekUnavailableException($"The Transit server at {root.GetLeftPart(UriPartial.Authority)} fails at {path}: {failure.Message}", failure);
        }
        catch (Exception malformed) when (malformed is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            // Without what was thrown: it may quote the answer.
            throw new KekUnavailableException($"The Transit server at {root.GetLeftPart(UriPartial.Authority)} answers {path} in another form than Vault.");
        }
    }

    public void Dispose() => http.Dispose();

    private static SslClientAuthenticationOptions Tls(string? trustFile)
    {
        if (trustFile is null)
        {
            return new SslClientAuthenticationOptions();
        }

        var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
        try
        {
            policy.CustomTrustStore.ImportFromPemFile(trustFile);
        }
        catch (Exception unusable) when (unusable is IOException or UnauthorizedAccessException or CryptographicException)
        {
            throw new InvalidDataException($"The roots of the Transit server cannot be read: {unusable.Message}", unusable);
        }

        return new SslClientAuthenticationOptions { CertificateChainPolicy = policy };
    }

    private async Task<T> AttemptAsync<T>(string path, SecretBuffer? body, Func<ReadOnlyMemory<byte>, T> read, CancellationToken stop)
    {
        using var request = new HttpRequestMessage(body is null ? HttpMethod.Get : HttpMethod.Post, new Uri(root, path));
        request.Content = body is null ? null : new ReadOnlyMemoryContent(body.Written) { Headers = { ContentType = new("application/json") } };
        request.Headers.TryAddWithoutValidation("X-Vault-Token", options.Token);
        request.Headers.TryAddWithoutValidation("X-Vault-Request", "true");
        if (options.Namespace is not null)
        {
            request.Headers.TryAddWithoutValidation("X-Vault-Namespace", options.Namespace);
        }

        using var response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, stop);
        var answer = ArrayPool<byte>.Shared.Rent(LongestAnswer);
        try
        {
            var length = await response.Content.ReadAsStream(stop).ReadAtLeastAsync(answer, answer.Length, throwOnEndOfStream: false, stop);
            Check(path, response.StatusCode, answer.AsMemory(0, length));
            return read(answer.AsMemory(0, length));
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(answer, clearArray: true);
        }
    }

    private void Check(string path, HttpStatusCode status, ReadOnlyMemory<byte> answer)
    {
        switch (status)
        {
            case HttpStatusCode.OK or HttpStatusCode.NoContent:
                return;
            case HttpStatusCode.BadRequest or HttpStatusCode.InternalServerError when IsRefusedCiphertext(path, answer):
                throw new CryptographicException("The wrapped key does not open.");
            case HttpStatusCode.TooManyRequests or >= HttpStatusCode.InternalServerError:
                throw new HttpRequestException($"it answers with status {(int)status}", inner: null, status);
            case HttpStatusCode.Forbidden:
                throw new KekUnavailableException($"The Transit server refuses {path}: the token is not valid there, or its policy does not allow it.");
            case HttpStatusCode.NotFound:
                throw new KekUnavailableException(
                    $"The Transit server does not know {path}. Keys are made by 'vault write -f {options.Mount}/keys/{options.KekName} type=aes256-gcm96' and "
                    + $"'vault write -f {options.Mount}/keys/{options.SigningKeyName} type=ecdsa-p256'.");
            default:
                throw new KekUnavailableException($"The Transit server answers {path} with status {(int)status}.");
        }
    }

    private static bool IsRefusedCiphertext(string path, ReadOnlyMemory<byte> answer)
    {
        if (!path.StartsWith("decrypt/", StringComparison.Ordinal))
        {
            return false;
        }

        using var document = JsonDocument.Parse(answer);
        return document.RootElement.GetProperty("errors").EnumerateArray()
            .Any(error => RefusedCiphertexts.Any(refused => error.GetString()!.Contains(refused, StringComparison.Ordinal)));
    }

    /// <summary>A request's JSON: pinned, and zeroed after use.</summary>
    private sealed class SecretBuffer : IBufferWriter<byte>, IDisposable
    {
        /// <summary>Several times what is ever asked; more is a fault.</summary>
        private readonly byte[] bytes = GC.AllocateArray<byte>(8 * 1024, pinned: true);
        private int length;

        public ReadOnlyMemory<byte> Written => bytes.AsMemory(0, length);

        public void Write(Action<Utf8JsonWriter> write)
        {
            using var json = new Utf8JsonWriter(this);
            json.WriteStartObject();
            write(json);
            json.WriteEndObject();
        }

        public void Advance(int count) => length += count;

        public Memory<byte> GetMemory(int sizeHint = 0) => bytes.AsMemory(length);

        public Span<byte> GetSpan(int sizeHint = 0) => bytes.AsSpan(length);

        public void Dispose() => CryptographicOperations.ZeroMemory(bytes);
    }
}
