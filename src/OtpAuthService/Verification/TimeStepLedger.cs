using OtpAuthService.Credentials;
using OtpAuthService.Submissions;

namespace OtpAuthService.Verification;

/// <summary>The one authority over time steps (promise P1), where a decision is made in a contractor's turn.</summary>
internal static class TimeStepLedger
{
    /// <summary>
    /// Claims <paramref name="step"/> of a credential that the turn holds. It is written with a condition on all that it rests on
    /// (step, epoch, status: the row's concurrency tokens), so that also without the turn's lock no step would be taken twice.
    /// </summary>
    /// <param name="turn">Holds the credential's row.</param>
    /// <param name="read">The credential as the OTP was matched against it.</param>
    /// <param name="step">The matched step.</param>
    /// <param name="knownUsed">The highest step that the replay cache knows to be used: later than the database's where that has lost commits.</param>
    public static Claim Claim(Turn turn, KeyedCredential read, TimeStep step, TimeStep? knownUsed)
    {
        var credential = turn.CurrentOf(read);
        if (!read.IsCurrent(credential))
        {
            return Verification.Claim.OutOfDate;
        }

        if (!credential.IsUsableAt(turn.Now, turn.Policy))
        {
            return Verification.Claim.Unusable;
        }

        if (credential.LastTimeStep >= step || knownUsed >= step || credential.OutOfSyncStep == step)
        {
            return Verification.Claim.AlreadyUsed;
        }

        credential.Claim(step);
        return Verification.Claim.Granted;
    }
}

/// <summary>The result of a claim.</summary>
internal enum Claim
{
    /// <summary>The step is used now, by this decision and no other.</summary>
    Granted,

    /// <summary>The step, or a later one, was claimed before.</summary>
    AlreadyUsed,

    /// <summary>The credential is lost, expired or not yet valid.</summary>
    Unusable,

    /// <summary>Binding or credential have changed since they were read: read again and decide anew.</summary>
    OutOfDate,
}
