using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace OtpAuthService.Audit;

/// <summary>
/// A record's content as bytes, for its digest: each field with its length before it, four bytes big-endian, -1 for none; numbers big-endian in two,
/// four or eight bytes, text in UTF-8. That is how PostgreSQL sends these columns by COPY in binary, so that they are checked as they come.
/// </summary>
internal static class AuditContent
{
    /// <summary>The columns, in the order of the digest. Only ever added to at the end: what was written before must give its hash for years.</summary>
    public const string Columns =
        "decided_at, rpc, institution_id, caller_id, operator_id, request_id, contractor_id, channel, purpose, credential_ref, time_step, outcome, decision, reason, policy_version";

    /// <summary>How many they are.</summary>
    public const int Fields = 15;

    /// <summary>Every field at its longest: some 700 characters in all, of up to three bytes each.</summary>
    private const int MaxBytes = 3 * 1024;

    public static byte[] Digest(AuditRecord record)
    {
        Span<byte> content = stackalloc byte[MaxBytes];
        var writer = new Writer(content);
        writer.Write(record.DecidedAt.ToUnixTimeMilliseconds());
        writer.Write(record.Rpc);
        writer.Write(record.InstitutionId.Value);
        writer.Write(record.CallerId);
        writer.Write(record.OperatorId);
        writer.Write(record.RequestId);
        writer.Write(record.ContractorId);
        writer.Write((short)record.Channel);
        writer.Write((short)record.Purpose);
        writer.Write(record.CredentialRef);
        writer.Write(record.TimeStep?.Value);
        writer.Write((short)record.Outcome);
        writer.Write((short)record.Decision);
        writer.Write(record.Reason);
        writer.Write(record.PolicyVersion);
        return SHA256.HashData(writer.Written);
    }

    private ref struct Writer(Span<byte> into)
    {
        private const int None = -1;

        private readonly Span<byte> into = into;
        private int length;

        public readonly ReadOnlySpan<byte> Written => into[..length];

        public void Write(short value)
        {
            Size(sizeof(short));
            BinaryPrimitives.WriteInt16BigEndian(into[length..], value);
            length += sizeof(short);
        }

        public void Write(int? value)
        {
            if (value is not { } number)
            {
                Size(None);
                return;
            }

            Size(sizeof(int));
            BinaryPrimitives.WriteInt32BigEndian(into[length..], number);
            length += sizeof(int);
        }

        public void Write(long? value)
        {
            if (value is not { } number)
            {
                Size(None);
                return;
            }

            Size(sizeof(long));
            BinaryPrimitives.WriteInt64BigEndian(into[length..], number);
            length += sizeof(long);
        }

        public void Write(string? value)
        {
            if (value is null)
            {
                Size(None);
                return;
            }

            var written = Encoding.UTF8.GetBytes(value, into[(length + sizeof(int))..]);
            Size(written);
            length += written;
        }

        private void Size(int size)
        {
            BinaryPrimitives.WriteInt32BigEndian(into[length..], size);
            length += sizeof(int);
        }
    }
}
