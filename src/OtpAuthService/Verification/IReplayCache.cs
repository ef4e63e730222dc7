namespace OtpAuthService.Verification;

/// <summary>
/// Remembers used time steps in front of the database. It may say "used", which is a refusal, or nothing; it never lets a step
/// through by itself. Losing all it knows changes nothing but speed.
/// </summary>
internal interface IReplayCache
{
    /// <summary>True while it is left out and the database decides alone.</summary>
    bool IsDegraded { get; }

    /// <summary>True while it was found to fail so often that it is not asked.</summary>
    bool IsBreakerOpen { get; }

    /// <summary>Notes on each OTP the highest step of its credential that is known to be used, if any; never fails.</summary>
    ValueTask AskAsync(IReadOnlyList<CheckedOtp> otps);

    /// <summary>Tells which steps were claimed, after their commit; best effort, not waited for, never fails.</summary>
    void Remember(IReadOnlyList<CheckedOtp> claimed);
}
