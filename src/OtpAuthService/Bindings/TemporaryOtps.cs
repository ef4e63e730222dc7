using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using OtpAuthService.Keys;
using OtpAuthService.Submissions;
using OtpAuthService.Verification;

namespace OtpAuthService.Bindings;

/// <summary>
/// IssueTemporaryOtp and ConfirmTemporaryOtp: an OTP of 8 digits for a contractor who was identified by other means. It is derived from a salt by
/// a key that is not in the database, which has nothing to try 10⁸ OTPs against; and a retry of its issue gets the same again.
/// </summary>
internal sealed class TemporaryOtps(BindingActs acts, BindingDirectory bindings, DataKeys keys)
{
    /// <summary>What the record of an accepted one says.</summary>
    public const string UsedNote = "temporary OTP";

    private const int Digits = 8;

    /// <returns>Accepted, or NotRegistered where the contractor's binding is neither active nor lost; with the OTP where it was accepted and not issued anew since.</returns>
    public async Task<(Answer Answer, IssuedTemporaryOtp? Issued)> IssueAsync(
        Submission submission, TimeSpan validFor, int uses, CancellationToken cancellation)
    {
        var answer = await acts.DecideAsync(submission, turn => new(Issue(turn, submission, validFor, uses)), cancellation);
        // Read back, also after a fresh decision: what is handed out is what is stored.
        var contractor = new ContractorRef(submission.Institution, submission.Contractor!.Value);
        var (_, state) = await bindings.FindStateAsync(contractor, cancellation);
        return state?.TemporaryOtp is { } stored && stored.IssuedUnder == submission.Key
            ? (answer, new IssuedTemporaryOtp(Derive(contractor, stored).ToString("D8", CultureInfo.InvariantCulture), stored))
            : (answer, null);
    }

    /// <param name="submission">The request.</param>
    /// <param name="expiresAt">Of the one that is meant: another one may have been issued since.</param>
    /// <param name="uses">Likewise.</param>
    /// <param name="cancellation">The caller no longer waits.</param>
    /// <returns>Accepted; NotRegistered where no such one awaits it; Mismatch where whoever confirms may be whoever had it issued.</returns>
    public Task<Answer> ConfirmAsync(Submission submission, DateTimeOffset expiresAt, int uses, CancellationToken cancellation) =>
        acts.DecideAsync(submission, turn => new(Confirm(turn, submission, expiresAt, uses)), cancellation);

    /// <summary>Settles an OTP that may be the temporary one.</summary>
    /// <param name="turn">The contractor's turn.</param>
    /// <param name="submitted">The digits.</param>
    /// <param name="isLastWord">Whether it can be nothing else, so that a wrong one is counted here.</param>
    /// <returns>Null where it is for others to decide.</returns>
    public Verdict? Settle(Turn turn, Otp submitted, bool isLastWord)
    {
        if (submitted.Length != Digits || turn.Contractor.TemporaryOtp is not { } temporary || !temporary.IsTakenAt(turn.Now))
        {
            return null;
        }

        if (OtpChecker.RefuseIfLocked(turn) is { } locked)
        {
            return locked;
        }

        if (submitted.EqualsMask(Derive(turn.Who, temporary)) == 0)
        {
            return isLastWord ? OtpChecker.Miss(turn, Outcome.Mismatch) : null;
        }

        temporary.UsesLeft--;
        turn.Contractor.ClearFailures();
        return Verdict.Accepted with
        {
            CredentialRef = turn.Binding?.CredentialRef,
            AttemptsLeft = turn.Contractor.AttemptsLeft(turn.Policy.Limits),
            Note = UsedNote,
            Events = [EventKind.TemporaryOtpUsed],
        };
    }

    private static Verdict Issue(Turn turn, Submission submission, TimeSpan validFor, int uses)
    {
        if (turn.Binding is not { State: BindingState.Active or BindingState.Lost } binding)
        {
            return Verdict.Deny(Outcome.NotRegistered);
        }

        turn.Contractor.TemporaryOtp = new TemporaryOtp
        {
            Salt = RandomNumberGenerator.GetBytes(16),
            IssuedUnder = submission.Key,
            IssuedBy = submission.Caller.Id,
            IssuedByOperator = submission.Operator,
            ExpiresAt = turn.Now + validFor,
            UsesLeft = uses,
            AwaitsConfirmation = turn.Policy.TemporaryOtpNeedsConfirmation,
        };
        return Verdict.Accepted with { CredentialRef = binding.CredentialRef, Events = [EventKind.TemporaryOtpIssued] };
    }

    private static Verdict Confirm(Turn turn, Submission submission, DateTimeOffset expiresAt, int uses)
    {
        if (turn.Contractor.TemporaryOtp is not { AwaitsConfirmation: true } temporary || temporary.ExpiresAt <= turn.Now
            || (temporary.ExpiresAt, temporary.UsesLeft) != (expiresAt, uses))
        {
            return Verdict.Deny(Outcome.NotRegistered);
        }

        if (temporary.Issuer.MayBe(submission.Actor))
        {
            return Verdict.Deny(Outcome.Mismatch);
        }

        temporary.AwaitsConfirmation = false;
        return Verdict.Accepted;
    }

    /// <summary>0 to 99,999,999. The remainder of 64 bits favours some of them by less than one in 10¹¹.</summary>
    private uint Derive(ContractorRef contractor, TemporaryOtp stored)
    {
        var key = keys.Derive("temporary-otp");
        try
        {
            byte[] content = [.. stored.Salt, .. Encoding.UTF8.GetBytes($"{contractor.Institution}/{contractor.Contractor}")];
            return (uint)(BinaryPrimitives.ReadUInt64BigEndian(HMACSHA256.HashData(key, content)) % 100_000_000);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(key);
        }
    }
}

/// <summary>What is handed out, once.</summary>
/// <param name="Otp">8 digits.</param>
/// <param name="Stored">How long it is taken.</param>
internal sealed record IssuedTemporaryOtp(string Otp, TemporaryOtp Stored)
{
    public override string ToString() => "IssuedTemporaryOtp (hidden)";
}
