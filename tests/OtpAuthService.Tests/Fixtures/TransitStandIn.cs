using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using OtpAuthService.Keys;

namespace OtpAuthService.Tests.Fixtures;

/// <summary>
/// Stands in for a HashiCorp Vault, which is not to be had here: the part of the Transit engine's HTTP API that the service uses, after its documentation
/// (developer.hashicorp.com/vault/api-docs/secret/transit), with real AES-256-GCM and ECDSA. Words of refusals are those of Vault's own source.
/// </summary>
internal sealed class TransitStandIn : IAsyncDisposable
{
    public const string Token = "hvs.stand-in-Zm9yIHRlc3Rz";

    private readonly int port = Loopback.FreePort();
    private readonly TestCertificate? certificate;
    private readonly Lock gate = new();
    private readonly Dictionary<string, List<byte[]>> ciphers = new() { ["otp-kek"] = [RandomNumberGenerator.GetBytes(32)] };
    private readonly Dictionary<string, List<ECDsa>> signers = new() { ["otp-audit-signing"] = [ECDsa.Create(ECCurve.NamedCurves.nistP256)] };
    private readonly Queue<HttpStatusCode> failures = [];
    private readonly List<string> requests = [];
    private WebApplication? server;

    private TransitStandIn(TestCertificate? certificate) => this.certificate = certificate;

    /// <param name="certificate">For https.</param>
    public static async Task<TransitStandIn> StartNewAsync(TestCertificate? certificate = null)
    {
        var standIn = new TransitStandIn(certificate);
        await standIn.StartAsync();
        return standIn;
    }

    public TransitOptions Options => new() { Address = $"{(certificate is null ? "http" : "https")}://127.0.0.1:{port}", Token = Token };

    /// <summary>As a version of Vault that does not know the parameter.</summary>
    public bool PassesOverAssociatedData { get; set; }

    /// <summary>Answers nothing any more.</summary>
    public bool Hangs { get; set; }

    public bool KekIsExportable { get; set; }

    /// <summary>Only this one is let in.</summary>
    public string? Namespace { get; set; }

    /// <summary>As an operator sets it to retire older versions.</summary>
    public int MinDecryptionVersion { get; set; } = 1;

    /// <summary>Status for a ciphertext that does not open: 400, or 500 in some versions of Vault (hashicorp/vault issue 10842).</summary>
    public HttpStatusCode RefusalOfCiphertexts { get; set; } = HttpStatusCode.BadRequest;

    /// <summary>Method and path of every request that came.</summary>
    public IReadOnlyList<string> Requests
    {
        get
        {
            lock (gate)
            {
                return [.. requests];
            }
        }
    }

    /// <summary>Answers the next requests so, whatever they ask.</summary>
    public void FailNext(params HttpStatusCode[] statuses)
    {
        lock (gate)
        {
            statuses.ToList().ForEach(failures.Enqueue);
        }
    }

    public void DeleteKeys()
    {
        lock (gate)
        {
            ciphers.Clear();
            signers.Clear();
        }
    }

    public void RotateSigningKey(ECCurve curve)
    {
        lock (gate)
        {
            signers["otp-audit-signing"].Add(ECDsa.Create(curve));
        }
    }

    public async Task StartAsync()
    {
        // Empty: the service's own settings lie beside the tests.
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Services.AddRoutingCore();
        builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration().ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, port, Listen));
        server = builder.Build();
        server.Use(GuardAsync);
        server.MapGet("/v1/transit/keys/{name}", (string name) => Locked(() => ReadKey(name)));
        server.MapPost("/v1/transit/keys/{name}/rotate", (string name) => Locked(() => Rotate(name)));
        Map("encrypt", Encrypt);
        Map("decrypt", Decrypt);
        Map("sign", Sign);
        await server.StartAsync();
    }

    /// <summary>Nobody listens any more; the keys are kept.</summary>
    public async Task StopAsync()
    {
        if (server is not null)
        {
            await server.DisposeAsync();
            server = null;
        }
    }

    public async ValueTask DisposeAsync()
    {
        Hangs = false;
        await StopAsync();
        signers.Values.SelectMany(versions => versions).ToList().ForEach(key => key.Dispose());
    }

    private void Listen(ListenOptions endpoint)
    {
        if (certificate is not null)
        {
            endpoint.UseHttps(certificate.Certificate);
        }
    }

    private void Map(string act, Func<string, JsonNode, IResult> answer) => server!.MapPost(
        $"/v1/transit/{act}/{{name}}",
        async (string name, HttpRequest request) =>
        {
            var body = (await JsonNode.ParseAsync(request.Body))!;
            return Locked(() => answer(name, body));
        });

    private IResult Locked(Func<IResult> answer)
    {
        lock (gate)
        {
            return answer();
        }
    }

    private async Task GuardAsync(HttpContext call, RequestDelegate next)
    {
        HttpStatusCode? failure;
        lock (gate)
        {
            requests.Add($"{call.Request.Method} {call.Request.Path}");
            failure = failures.TryDequeue(out var status) ? status : null;
        }

        if (Hangs)
        {
            await Task.Delay(Timeout.InfiniteTimeSpan, call.RequestAborted);
        }

        if (failure is not null)
        {
            call.Response.Headers.Location = call.Request.Path.Value;
            await Refuse((int)failure, "Vault is sealed").ExecuteAsync(call);
        }
        else if (call.Request.Headers["X-Vault-Token"] != Token || call.Request.Headers["X-Vault-Namespace"].ToString() != (Namespace ?? ""))
        {
            await Refuse(403, "permission denied").ExecuteAsync(call);
        }
        else
        {
            await next(call);
        }
    }

    private IResult ReadKey(string name)
    {
        if (ciphers.TryGetValue(name, out var versions))
        {
            return Data(Key(name, "aes256-gcm96", Numbered(versions, _ => JsonValue.Create(1442851412))));
        }

        return signers.TryGetValue(name, out var pairs)
            ? Data(Key(name, "ecdsa-p256", Numbered(pairs, pair => new JsonObject { ["name"] = "P-256", ["public_key"] = pair.ExportSubjectPublicKeyInfoPem() })))
            : Results.Json<JsonNode>(new JsonObject { ["errors"] = new JsonArray() }, statusCode: 404);
    }

    private JsonObject Key(string name, string type, JsonObject versions) => new()
    {
        ["name"] = name,
        ["type"] = type,
        ["derived"] = false,
        ["exportable"] = KekIsExportable,
        ["allow_plaintext_backup"] = false,
        ["latest_version"] = versions.Count,
        ["min_decryption_version"] = MinDecryptionVersion,
        ["min_encryption_version"] = 0,
        ["keys"] = versions,
    };

    private static JsonObject Numbered<T>(List<T> versions, Func<T, JsonNode> form) =>
        new(versions.Select((version, i) => KeyValuePair.Create(Text(i + 1), (JsonNode?)form(version))));

    private IResult Rotate(string name)
    {
        if (!ciphers.TryGetValue(name, out var versions))
        {
            return Refuse(400, "encryption key not found");
        }

        versions.Add(RandomNumberGenerator.GetBytes(32));
        return ReadKey(name);
    }

    private IResult Encrypt(string name, JsonNode body)
    {
        if (!ciphers.TryGetValue(name, out var versions))
        {
            return Refuse(400, "encryption key not found");
        }

        var version = (int?)body["key_version"] is { } asked and not 0 ? asked : versions.Count;
        if (version > versions.Count)
        {
            return Refuse(400, "requested version for encryption is higher than the latest key version");
        }

        var plaintext = Convert.FromBase64String((string)body["plaintext"]!);
        var stored = new byte[12 + plaintext.Length + 16];
        RandomNumberGenerator.Fill(stored.AsSpan(0, 12));
        using var cipher = new AesGcm(versions[version - 1], 16);
        cipher.Encrypt(stored.AsSpan(0, 12), plaintext, stored.AsSpan(12, plaintext.Length), stored.AsSpan(12 + plaintext.Length), AssociatedData(body));
        return Data(new JsonObject { ["ciphertext"] = $"vault:v{Text(version)}:{Convert.ToBase64String(stored)}", ["key_version"] = version });
    }

    private IResult Decrypt(string name, JsonNode body)
    {
        if (!ciphers.TryGetValue(name, out var versions))
        {
            return Refuse(400, "encryption key not found");
        }

        var parts = ((string)body["ciphertext"]!).Split(':', 3);
        if (parts is not ["vault", ['v', .. var number], var text] || !int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var version))
        {
            return Refuse(400, "invalid ciphertext: no prefix");
        }

        if (version > versions.Count)
        {
            return Refuse(400, "invalid ciphertext: version is too new");
        }

        if (version < MinDecryptionVersion)
        {
            return Refuse(400, "ciphertext or signature version is disallowed by policy (too old)");
        }

        var stored = new byte[text.Length];
        if (!Convert.TryFromBase64String(text, stored, out var length) || length < 28)
        {
            return Refuse(400, "invalid ciphertext: could not decode base64");
        }

        var plaintext = new byte[length - 28];
        try
        {
            using var cipher = new AesGcm(versions[version - 1], 16);
            cipher.Decrypt(stored.AsSpan(0, 12), stored.AsSpan(12, plaintext.Length), stored.AsSpan(length - 16, 16), plaintext, AssociatedData(body));
        }
        catch (AuthenticationTagMismatchException)
        {
            return Refuse((int)RefusalOfCiphertexts, "cipher: message authentication failed");
        }

        return Data(new JsonObject { ["plaintext"] = Convert.ToBase64String(plaintext) });
    }

    private IResult Sign(string name, JsonNode body)
    {
        if (!signers.TryGetValue(name, out var versions))
        {
            return Refuse(400, "signing key not found");
        }

        if ((string?)body["hash_algorithm"] is not (null or "sha2-256"))
        {
            return Refuse(400, "this stand-in hashes with sha2-256 only");
        }

        var input = Convert.FromBase64String((string)body["input"]!);
        var digest = (bool?)body["prehashed"] == true ? input : SHA256.HashData(input);
        var signature = (string?)body["marshaling_algorithm"] == "jws"
            ? System.Buffers.Text.Base64Url.EncodeToString(versions[^1].SignHash(digest))
            : Convert.ToBase64String(versions[^1].SignHash(digest, DSASignatureFormat.Rfc3279DerSequence));
        return Data(new JsonObject { ["signature"] = $"vault:v{Text(versions.Count)}:{signature}", ["key_version"] = versions.Count });
    }

    private byte[] AssociatedData(JsonNode body) =>
        PassesOverAssociatedData ? [] : Convert.FromBase64String((string?)body["associated_data"] ?? "");

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    private static IResult Data(JsonObject data) => Results.Json<JsonNode>(new JsonObject
    {
        ["request_id"] = Guid.NewGuid().ToString(),
        ["lease_id"] = "",
        ["renewable"] = false,
        ["lease_duration"] = 0,
        ["data"] = data,
        ["wrap_info"] = null,
        ["warnings"] = null,
        ["auth"] = null,
    });

    private static IResult Refuse(int status, string error) => Results.Json<JsonNode>(new JsonObject { ["errors"] = new JsonArray(error) }, statusCode: status);
}
