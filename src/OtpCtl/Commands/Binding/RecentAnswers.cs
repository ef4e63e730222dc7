using OtpAuthService.V1;

namespace OtpCtl.Commands.Binding;

/// <summary>
/// The last of a contractor's records, each with what those before it tell: which wrong OTP in a row it was, for one, stands in no record. They are
/// taken in one after the other, the oldest first, and only so many are kept.
/// </summary>
/// <param name="limit">How many.</param>
internal sealed class RecentAnswers(int limit)
{
    private readonly Queue<(RecordedAnswer Answer, int Row, int Number)> last = [];

    /// <summary>By credential: the contractor has few, and a claim takes a right OTP.</summary>
    private readonly Dictionary<string, AuditRecord> claims = [];
    private readonly Dictionary<string, AuditRecord> outOfSync = [];
    private int records;
    private int lastOptOut;
    private int row;
    private int failures;
    private AuditRecord? lastFailure;
    private bool isUnderOnePolicy = true;

    public bool Any => records > 0;

    public void Add(AuditRecord record)
    {
        records++;
        Count(record);
        last.Enqueue((
            new RecordedAnswer(record)
            {
                Failures = failures,
                IsWholeRow = row > 0,
                IsUnderOnePolicy = isUnderOnePolicy && (lastFailure is null || lastFailure.PolicyVersion == record.PolicyVersion),
                LastFailure = lastFailure,
                LastClaim = claims.GetValueOrDefault(record.CredentialId),
                LastOutOfSync = outOfSync.GetValueOrDefault(record.CredentialId),
                IsBeforeOptOut = false,
            },
            row,
            records));
        if (last.Count > limit)
        {
            last.Dequeue();
        }

        Note(record);
    }

    /// <summary>The oldest first.</summary>
    /// <param name="failuresNow">Wrong OTPs in a row by now, as the service has counted them.</param>
    public IReadOnlyList<RecordedAnswer> Last(int failuresNow)
    {
        // Where nothing has ended the row that goes on now, those that are missing were before the first record.
        var before = row == 0 ? failuresNow - failures : 0;
        return [.. last.Select(kept => kept.Answer with
        {
            Failures = kept.Answer.Failures + Math.Max(0, before),
            IsWholeRow = kept.Answer.IsWholeRow || (row == 0 && before >= 0),
            IsBeforeOptOut = kept.Number < lastOptOut,
        })];
    }

    private void Count(AuditRecord record)
    {
        if (RecordedAnswer.IsFailure(record))
        {
            isUnderOnePolicy &= lastFailure is null || lastFailure.PolicyVersion == record.PolicyVersion;
            failures++;
        }
        else if (RecordedAnswer.EndsRow(record))
        {
            row++;
            failures = 0;
            lastFailure = null;
            isUnderOnePolicy = true;
        }
    }

    private void Note(AuditRecord record)
    {
        if (RecordedAnswer.IsFailure(record))
        {
            lastFailure = record;
        }

        if (record.HasTimeStep)
        {
            claims[record.CredentialId] = record;
        }

        // Of a Replace with a time step, it was said of the other credential.
        if (record is { Outcome: Outcome.OutOfSync, HasTimeStep: false } && RecordedAnswer.IsOfOtp(record))
        {
            outOfSync[record.CredentialId] = record;
        }

        if (record.Rpc == "SetBypassOptOut")
        {
            lastOptOut = records;
        }
    }
}
