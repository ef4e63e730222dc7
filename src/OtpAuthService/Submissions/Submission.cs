using System.Buffers;
using System.Security.Cryptography;
using System.Text;
using Google.Protobuf;
using OtpAuthService.Bindings;
using OtpAuthService.Callers;
using OtpAuthService.Credentials;
using OtpAuthService.Institutions;
using OtpAuthService.Keys;

namespace OtpAuthService.Submissions;

/// <summary>
/// One submission of a customer or operator: it may be delivered many times under its request id, and is decided once (promise P4).
/// </summary>
/// <param name="Caller">Who delivers it; request ids are unique per caller.</param>
/// <param name="RequestId">Made by the caller once per submission.</param>
/// <param name="Rpc">Which act, as the proto names it.</param>
/// <param name="Institution">For whom it is decided.</param>
/// <param name="Fingerprint">Keyed digest of the whole request: tells a retry from other content under the same id.</param>
/// <param name="Contractor">Whose binding it is about; null for acts on credentials alone.</param>
/// <param name="Channel">How the contractor reaches the bank; unset for operators' acts.</param>
/// <param name="Purpose">What the OTP approves; unset for everything but Verify.</param>
internal sealed record Submission(
    Caller Caller,
    string RequestId,
    string Rpc,
    InstitutionId Institution,
    byte[] Fingerprint,
    ContractorId? Contractor = null,
    Channel Channel = Channel.Unspecified,
    Purpose Purpose = Purpose.Unspecified)
{
    /// <summary>Why an operator does it; null for what contractors do.</summary>
    public string? Reason { get; init; }

    /// <summary>The person who does it, where an operator's caller names one.</summary>
    public string? Operator { get; init; }

    public Actor Actor => new(Caller.Id, Operator);

    /// <summary>What its answer is found by: a digest of caller and request id, which is shorter than they are and as good as unique.</summary>
    public Guid Key { get; } = Digest(Caller.Id, RequestId);

    private static Guid Digest(string caller, string requestId)
    {
        // Ids are bounded, and a zero byte is in neither.
        Span<byte> text = stackalloc byte[(3 * (caller.Length + requestId.Length)) + 1];
        Span<byte> digest = stackalloc byte[SHA256.HashSizeInBytes];
        var length = Encoding.UTF8.GetBytes(caller, text);
        text[length++] = 0;
        length += Encoding.UTF8.GetBytes(requestId, text[length..]);
        SHA256.HashData(text[..length], digest);
        return new Guid(digest[..16]);
    }
}

/// <summary>
/// Makes fingerprints. They are keyed, because a request holds an OTP and the digest of six digits without a key can be undone by
/// trying them all (promise P7). The key comes from the service key, so that every replica makes the same fingerprint.
/// </summary>
internal sealed class Fingerprints(DataKeys dataKeys) : IDisposable
{
    private readonly Lazy<byte[]> key = new(() => dataKeys.Derive("otpauth.v1 request fingerprint"));

    // Kept, because to key a new one costs more than to use it; one per thread, because it does one thing at a time.
    private readonly ThreadLocal<IncrementalHash?> keyed = new();

    public byte[] Of(string rpc, IMessage request)
    {
        // The name, a zero byte, the request: as Begin has it.
        var size = Encoding.UTF8.GetByteCount(rpc) + 1 + request.CalculateSize();
        var rented = ArrayPool<byte>.Shared.Rent(size);
        var content = rented.AsSpan(0, size);
        try
        {
            var named = Encoding.UTF8.GetBytes(rpc, content);
            content[named] = 0;
            request.WriteTo(content[(named + 1)..]);
            var hmac = keyed.Value ??= IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, key.Value);
            hmac.AppendData(content);
            return hmac.GetHashAndReset();
        }
        finally
        {
            CryptographicOperations.ZeroMemory(content);
            ArrayPool<byte>.Shared.Return(rented);
        }
    }

    public void Dispose() => keyed.Dispose();

    /// <summary>For a request that arrives in pieces.</summary>
    public IncrementalHash Begin(string rpc)
    {
        var hmac = IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, key.Value);
        hmac.AppendData(Encoding.UTF8.GetBytes(rpc));
        hmac.AppendData([0]);
        return hmac;
    }
}
