using System.Globalization;
using OtpAuthService.V1;

namespace OtpCtl.Commands.Audit;

/// <summary>A field of an audit record as text: the name and order of the .proto file. Text that is unset is empty.</summary>
/// <param name="Name">The field.</param>
/// <param name="Width">How wide the column is as text; 0: it is not shown there, only as CSV. The last one may be as long as it is.</param>
/// <param name="Value">Its value.</param>
internal sealed record RecordColumn(string Name, int Width, Func<AuditRecord, string> Value)
{
    public static readonly RecordColumn[] All =
    [
        new("chain_id", 8, record => Text(record.ChainId)),
        new("position", 9, record => Text(record.Position)),
        new("decided_at", 24, record => AnswerText.Text(record.DecidedAt)),
        new("rpc", 20, record => record.Rpc),
        new("caller_id", 16, record => record.CallerId),
        new("operator_id", 12, record => record.OperatorId),
        new("request_id", 22, record => record.RequestId),
        new("contractor_id", 16, record => record.ContractorId),
        new("channel", 13, record => Text(record.Channel)),
        new("purpose", 15, record => Text(record.Purpose)),
        new("credential_id", 13, record => record.CredentialId),
        new("time_step", 0, record => record.HasTimeStep ? Text(record.TimeStep) : ""),
        new("outcome", 19, record => Text(record.Outcome)),
        new("decision", 8, record => Text(record.Decision)),
        new("reason", 6, record => record.Reason),
        new("policy_version", 0, record => Text(record.PolicyVersion)),
        new("hash", 0, record => Convert.ToHexStringLower(record.Hash.Span)),
    ];

    private static string Text(long value) => value.ToString(CultureInfo.InvariantCulture);

    // The zero value says that the record has none.
    private static string Text<T>(T value)
        where T : struct, Enum => Convert.ToInt32(value, CultureInfo.InvariantCulture) == 0 ? "" : AnswerText.Text(value);
}
