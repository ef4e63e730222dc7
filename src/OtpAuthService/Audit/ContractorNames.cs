using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using OtpAuthService.Bindings;
using OtpAuthService.Institutions;
using OtpAuthService.Keys;

namespace OtpAuthService.Audit;

/// <summary>How audit records name a contractor: by the id, or by a keyed hash of it where the institution's policy wants so.</summary>
internal sealed class ContractorNames(DataKeys dataKeys)
{
    /// <summary>In no contractor id, so that a hash and an id are never the same.</summary>
    private const string HashMark = "#";

    private const int HashBytes = 16;

    private readonly Lazy<byte[]> key = new(() => dataKeys.Derive("otpauth.v1 audit contractor"));

    public string Of(Institution policy, ContractorId contractor) => policy.AuditContractorIds switch
    {
        AuditContractorIds.Plain => contractor.Value,
        AuditContractorIds.KeyedHash => Hash(policy.Id, contractor),
        var names => throw new InvalidOperationException($"A way to name contractors is not known: {names}."),
    };

    /// <summary>All names of a contractor, whatever the policy was at the time.</summary>
    public IReadOnlyList<string> All(InstitutionId institution, ContractorId contractor) => [contractor.Value, Hash(institution, contractor)];

    private string Hash(InstitutionId institution, ContractorId contractor)
    {
        var hash = HMACSHA256.HashData(key.Value, Encoding.UTF8.GetBytes($"{institution.Value}\0{contractor.Value}"));
        return HashMark + Base64Url.EncodeToString(hash.AsSpan(0, HashBytes));
    }
}
