using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using OtpAuthService.Keys;

namespace OtpAuthService.Audit;

/// <summary>Signs heads with the key beside the KEK, and tells those that it did not sign.</summary>
internal sealed class HeadSigner(IKekProvider kek)
{
    /// <summary>Public keys that the provider has named its own; asked for once each.</summary>
    private readonly ConcurrentDictionary<string, bool> signers = new();

    /// <exception cref="KekUnavailableException">The KEK provider cannot be reached.</exception>
    public async Task<AuditHead> SignAsync(AuditHeadContent content, DateTimeOffset now, CancellationToken stop)
    {
        var text = JsonSerializer.Serialize(content, AuditHeadContent.Form);
        var signature = await kek.SignAsync(Encoding.UTF8.GetBytes(text), stop);
        return new AuditHead
        {
            Number = content.Number,
            SignedAt = now,
            Content = text,
            Hash = AuditHead.HashOf(text),
            Signature = signature.Value,
            PublicKey = signature.PublicKey,
        };
    }

    /// <returns>Null where the head is as it was signed, by a key of ours.</returns>
    /// <inheritdoc cref="SignAsync" path="/exception"/>
    public async Task<AuditFault?> FindForgedAsync(AuditHead head, CancellationToken stop) =>
        await IsSignerAsync(head.PublicKey, stop) && IsAsSigned(head)
            ? null
            : new AuditFault(AuditFindingKind.HeadForged, 0, 0, "the head is not signed by the key beside the KEK", head.Number);

    private async Task<bool> IsSignerAsync(byte[] publicKey, CancellationToken stop)
    {
        var name = Convert.ToHexStringLower(publicKey);
        return signers.ContainsKey(name) || (await kek.IsSignerAsync(publicKey, stop) && signers.TryAdd(name, true)) || signers.ContainsKey(name);
    }

    private static bool IsAsSigned(AuditHead head)
    {
        var digest = AuditHead.HashOf(head.Content);
        return head.Hash.AsSpan().SequenceEqual(digest) && new KekSignature(head.PublicKey, head.Signature).IsOver(digest);
    }
}
