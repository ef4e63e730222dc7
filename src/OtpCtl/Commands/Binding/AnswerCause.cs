using System.Globalization;
using Google.Protobuf.WellKnownTypes;
using OtpAuthService.V1;
using OtpAuthService.Verification;
using TemporaryOtps = OtpAuthService.Bindings.TemporaryOtps;
using V1 = OtpAuthService.V1;

namespace OtpCtl.Commands.Binding;

/// <summary>
/// Why an answer was what it was, for a help desk: what follows "because". Only what is certain is said for certain; a record does not hold all that was known
/// when it was written.
/// </summary>
internal static class AnswerCause
{
    private static readonly TimeSpan BypassHour = TimeSpan.FromHours(1);

    public static string Of(RecordedAnswer answer, CurrentState now) =>
        answer.Record.Rpc == "CheckOtp" ? OfCheck(answer.Record) + Reason(answer.Record)
        : RecordedAnswer.IsOfOtp(answer.Record) ? OfOtp(answer, now)
        : OfAct(answer.Record) + Reason(answer.Record);

    /// <summary>"2 time steps (60 s)".</summary>
    public static string Steps(int steps, int periodSeconds) => $"{Math.Abs(steps)} time step{(Math.Abs(steps) == 1 ? "" : "s")} ({Math.Abs(steps) * periodSeconds} s)";

    /// <summary>"30 min".</summary>
    public static string Minutes(Duration duration) => $"{duration.ToTimeSpan().TotalMinutes:0.##} min";

    private static string OfOtp(RecordedAnswer answer, CurrentState now)
    {
        var record = answer.Record;
        switch (record.Outcome)
        {
            case Outcome.Accepted:
                return OfAccepted(record, now);
            case Outcome.Bypassed:
                return $"caller {record.CallerId} is a mobile-IB gateway that may go without an OTP";
            case Outcome.BypassRefused:
                return OfBypassRefused(answer, now);
            case Outcome.Mismatch:
                return OfMismatch(record, now) + Count(answer, now);
            case Outcome.AlreadyUsed:
                return OfAlreadyUsed(answer, now);
            case Outcome.LockedOut:
                return OfLockedOut(answer, now) + "; the OTP was not looked at";
            case Outcome.NotRegistered:
                return "no credential was registered" + WithoutCredential(record, now);
            case Outcome.Suspended:
                return OfSuspended(record, now);
            case Outcome.Lost:
                return OfLost(record, now);
            case Outcome.OutOfSync:
                return Proven(record) + $"{TheOtp(record, now)} is of a time step outside the acceptance window but within {WidestMinutes} min: the credential's clock is off, or the OTP is an old one"
                    + Count(answer, now);
            case Outcome.CredentialUnknown:
                return Proven(record) + "no credential has the ID that was given" + Count(answer, now);
            case Outcome.CredentialUnusable:
                return OfUnusable(record, now);
            case Outcome.AlreadyRegistered:
                return record.Rpc == "Replace"
                    ? $"the new credential is the one in use already, {record.CredentialId}; the OTP is used up"
                    : "the contractor had an active binding already, which has to be suspended or replaced first";
            case Outcome.CredentialInUse:
                return "another contractor of this institution uses the credential" + (record.HasTimeStep ? "; the OTP is used up" : "");
            default:
                throw new InvalidOperationException($"Outcome {record.Outcome} of {record.Rpc} is not known.");
        }
    }

    private static string OfAccepted(AuditRecord record, CurrentState now) => record.Rpc switch
    {
        "Verify" when record.Reason == TemporaryOtps.UsedNote => "it was the temporary OTP that an operator had issued",
        "Verify" => $"{Tier(record, now)}, and had not been used",
        "Register" => $"{Tier(record, now)}; {record.CredentialId} is bound since, and the OTP used up",
        "Suspend" => $"{Tier(record, now)}; the contractor has stopped using OTPs (利用停止)",
        "Replace" => $"the OTPs of both credentials were right; {record.CredentialId} has taken over",
        "Resynchronize" => $"two OTPs in a row showed {ClockOf(record, now)}",
        var rpc => throw new InvalidOperationException($"{rpc} does not take an OTP."),
    };

    private static string OfBypassRefused(RecordedAnswer answer, CurrentState now)
    {
        const string ByWish = "the contractor is never to be answered without an OTP, by own wish";
        var byCap = $"caller {answer.Record.CallerId} had gone without an OTP for this contractor as often as it may within {BypassHour.TotalMinutes:0} min";
        return answer.IsBeforeOptOut ? $"{ByWish}, or {byCap}"
            : now.Binding is { NeverBypassed: true } ? ByWish
            : byCap;
    }

    private static string OfMismatch(AuditRecord record, CurrentState now) => record switch
    {
        { Rpc: "Resynchronize" } => $"the two OTPs are none that {Named(record.CredentialId)} shows one right after the other within {WidestMinutes} min of the moment",
        { Rpc: "Verify", CredentialId: "" } => "it was not the temporary OTP, and no other was awaited",
        _ => Proven(record) + $"{TheOtp(record, now)} is of no time step of the acceptance window{Window(record, now)}, nor of an unused one within {WidestMinutes} min",
    };

    private static string OfAlreadyUsed(RecordedAnswer answer, CurrentState now)
    {
        var record = answer.Record;
        var at = record.DecidedAt.ToDateTimeOffset();
        if (now.Fence.Fence is { } fence && now.Fence.RaisedAt.ToDateTimeOffset() <= at && at < fence.ToDateTimeOffset())
        {
            return $"a fence refuses every OTP up to {AnswerText.Text(fence)}: the database may have forgotten which ones were used";
        }

        // Of a Replace with a time step, it was said of the other credential.
        if (record.HasTimeStep)
        {
            return Proven(record) + "the OTP of the new one, or a later one, had been used before";
        }

        const string Used = "the OTP's time step, or a later one, had been used before: ";
        return answer.LastClaim is { } claim && MayBeIt(claim, record, now) ? $"{Used}last at {AnswerText.Text(claim.DecidedAt)} by {Asked(claim)}"
            : answer.LastOutOfSync is { } told ? $"the OTP was told to be OUT_OF_SYNC before, at {AnswerText.Text(told.DecidedAt)} for one, and is not accepted after that"
            : $"{Used}by nothing that was read here, so earlier, at another institution, or a fence refused it";
    }

    // A step that has left the window is not the one that was sent again. One step more, for drift that was learned since.
    private static bool MayBeIt(AuditRecord claim, AuditRecord record, CurrentState now)
    {
        if (record.Rpc == "Resynchronize" || now.CredentialOf(record) is not { } credential)
        {
            return true;
        }

        var current = TimeStep.At(record.DecidedAt.ToDateTimeOffset(), credential.PeriodSeconds);
        return claim.TimeStep >= current.Plus(credential.DriftSteps - now.WindowSteps - 1).Value;
    }

    private static string OfLockedOut(RecordedAnswer answer, CurrentState now)
    {
        if (answer.LastFailure is not { } last)
        {
            return "wrong OTPs before had locked the contractor";
        }

        if (!AreLimitsKnown(answer, now))
        {
            return $"wrong OTPs in a row, the last at {AnswerText.Text(last.DecidedAt)}, had locked the contractor";
        }

        var (policy, locked) = (now.Policy, answer.Failures);
        var until = last.DecidedAt.ToDateTimeOffset() + policy.TemporaryLock.ToTimeSpan();
        var rung = locked == policy.HardLimit ? " until an operator unlocks"
            : locked == policy.TemporaryLimit && until > answer.Record.DecidedAt.ToDateTimeOffset() ? $" until {AnswerText.Text(until.ToTimestamp())}"
            : "";
        return $"{locked} wrong OTP{(locked == 1 ? "" : "s")} in a row, the last at {AnswerText.Text(last.DecidedAt)}, had locked the contractor{rung}";
    }

    private static string OfSuspended(AuditRecord record, CurrentState now)
    {
        var then = now.BindingAt(record.DecidedAt.ToDateTimeOffset());
        if (record.Decision != Decision.Allow && !(then?.EndedAt?.ToDateTimeOffset() <= record.DecidedAt.ToDateTimeOffset()))
        {
            return "the bank had stopped the binding (SuspendBinding), and everything is denied until it is resumed";
        }

        var stopped = $"the contractor had stopped using OTPs (利用停止){(then?.EndedAt is { } ended ? $" at {AnswerText.Text(ended)}" : "")}";
        return record.Rpc == "Suspend" ? $"{stopped} before" : stopped + WithoutCredential(record, now);
    }

    private static string WithoutCredential(AuditRecord record, CurrentState now) => record switch
    {
        { Rpc: "Verify", Purpose: Purpose.Login } => $", and {PolicyOf(record, now)} answers a LOGIN without one with {AnswerText.Text(record.Decision)}",
        { Rpc: "Verify" } => ", and without one everything but a LOGIN is denied",
        _ => "",
    };

    private static string OfLost(AuditRecord record, CurrentState now)
    {
        var lost = now.BindingAt(record.DecidedAt.ToDateTimeOffset());
        return (lost?.EndedAt is { } at ? $"{lost.CredentialId} had been reported lost at {AnswerText.Text(at)}" : "the credential had been reported lost")
            + (record.Reason == OtpVerifier.LostTokenNote ? "; the OTP was a right one of it, so somebody has the token" : "");
    }

    private static string OfUnusable(AuditRecord record, CurrentState now)
    {
        var at = record.DecidedAt.ToDateTimeOffset();
        var cause = now.CredentialOf(record) switch
        {
            { ValidUntil: { } until } when until.ToDateTimeOffset() <= at => $"its validity ended at {AnswerText.Text(until)}",
            { ValidFrom: { } from } when from.ToDateTimeOffset() > at => $"it is not valid before {AnswerText.Text(from)}",
            { Status: CredentialStatus.Lost } => "it was reported lost, here or at another institution",
            { Supplier: var supplier } => $"its supplier, {supplier}, is closed for it, or was",
            null => "it is expired, lost, or its supplier closed",
        };
        return $"{Named(record.CredentialId)} cannot be used: {cause}{(record.HasTimeStep ? "; the OTP is used up" : "")}";
    }

    private static string OfCheck(AuditRecord record) => record.Outcome switch
    {
        Outcome.Accepted => "an operator only looked: a Verify would have taken the OTP, were the binding neither locked nor stopped",
        Outcome.Mismatch => $"an operator only looked: the OTP is of no time step within {WidestMinutes} min",
        Outcome.AlreadyUsed => "an operator only looked: the OTP, or a later one, had been used, or is refused by a fence",
        Outcome.OutOfSync => $"an operator only looked: the OTP is of a time step outside the acceptance window but within {WidestMinutes} min",
        Outcome.CredentialUnusable => "an operator only looked: the OTP is right, but its credential cannot be used",
        Outcome.NotRegistered => "an operator only looked: the contractor never had a credential",
        var outcome => throw new InvalidOperationException($"Outcome {outcome} of CheckOtp is not known."),
    };

    private static string OfAct(AuditRecord record) => record.Outcome switch
    {
        Outcome.Accepted => record.Rpc switch
        {
            "ReportLost" => "an operator reported the credential lost",
            "OpenReregistration" => "an operator let the contractor register another credential for some time",
            "Unlock" => "an operator ended the lock, if any, and the count of wrong OTPs",
            "SuspendBinding" => "an operator stopped the binding for the bank",
            "ResumeBinding" => "an operator ended the bank's stop",
            "IssueTemporaryOtp" => "an operator issued a temporary OTP",
            "ConfirmTemporaryOtp" => "another operator confirmed the temporary OTP",
            "SetBypassOptOut" => "an operator set or took back the wish never to be answered without an OTP",
            // Of a newer service.
            _ => "it was asked for and could be done",
        },
        Outcome.NotRegistered => record.Rpc switch
        {
            "ReportLost" or "SuspendBinding" => "there was no active binding to stop",
            "OpenReregistration" => "the contractor's credential was not lost",
            "Unlock" => "nothing was known of the contractor",
            "ResumeBinding" => "the bank had not stopped the binding",
            "IssueTemporaryOtp" => "the contractor's binding was neither active nor lost",
            "ConfirmTemporaryOtp" => "no temporary OTP awaited it",
            _ => "there was nothing to do it to",
        },
        Outcome.Mismatch => "whoever confirms may be whoever had the temporary OTP issued",
        var outcome => throw new InvalidOperationException($"Outcome {outcome} of {record.Rpc} is not known."),
    };

    private static string Tier(AuditRecord record, CurrentState now)
    {
        if (now.CredentialOf(record) is not { } credential || now.OffsetSteps(record) is not { } offset)
        {
            return "the OTP was right";
        }

        if (now.WindowOffset(record) is not { } tier)
        {
            return $"the OTP of {record.CredentialId} was {Off(offset, credential, "of the current time step")}, where the acceptance window lay by what was known of the credential's clock then";
        }

        var expected = credential.DriftSteps == 0 ? "current" : "expected";
        var step = Math.Sign(tier) switch { 0 => $"the {expected} time step", < 0 => $"the time step before the {expected} one", > 0 => $"the time step after the {expected} one" };
        var drift = credential.DriftSteps == 0 ? "" : $", which is {Off(credential.DriftSteps, credential, "")} as is known of the credential's clock";
        return $"the OTP of {record.CredentialId} was of {step}{drift} ({Signed(tier)}{(now.IsPolicyOf(record) ? $", window {Range(now)}" : "")})";
    }

    private static string ClockOf(AuditRecord record, CurrentState now) =>
        now.CredentialOf(record) is { } credential && now.OffsetSteps(record) is { } offset
            ? $"how far the clock of {record.CredentialId} is off: {Off(offset, credential, "not at all")}"
            : "how far the credential's clock is off";

    private static string Off(int steps, V1.Credential credential, string none) => Math.Sign(steps) switch
    {
        0 => none,
        < 0 => $"{Steps(steps, credential.PeriodSeconds)} behind the service's",
        > 0 => $"{Steps(steps, credential.PeriodSeconds)} ahead of the service's",
    };

    private static string Count(RecordedAnswer answer, CurrentState now)
    {
        if (now.Policy.OutcomeDetail == OutcomeDetail.Generic)
        {
            return answer.Record.Outcome == Outcome.Mismatch ? "; counted, unless it had another number of digits than the credential shows" : "; counted";
        }

        var (policy, failures) = (now.Policy, answer.Failures);
        if (!AreLimitsKnown(answer, now))
        {
            return $"; counted, as {(answer.IsWholeRow ? "" : "at least ")}number {failures} of the wrong ones in a row";
        }

        var until = (answer.Record.DecidedAt.ToDateTimeOffset() + policy.TemporaryLock.ToTimeSpan()).ToTimestamp();
        var rung = failures <= policy.TemporaryLimit
            ? $"{policy.TemporaryLimit} in a row that lock for {Minutes(policy.TemporaryLock)}"
            : $"{policy.HardLimit} in a row that lock until an operator unlocks";
        var locked = failures == policy.TemporaryLimit ? $": locked until {AnswerText.Text(until)}"
            : failures == policy.HardLimit ? ": locked"
            : "";
        return $"; counted, as number {failures} of the {rung}{locked}";
    }

    // What is counted is seen from the outcomes. Under GENERIC that is not all: a wrong number of digits is a MISMATCH too, and no guess.
    private static bool AreLimitsKnown(RecordedAnswer answer, CurrentState now) =>
        answer is { IsWholeRow: true, IsUnderOnePolicy: true } && now.IsPolicyOf(answer.Record) && now.Policy.OutcomeDetail != OutcomeDetail.Generic;

    // Of a Replace, whose first step is to use up the OTP of the credential in use.
    private static string Proven(AuditRecord record) =>
        record is { Rpc: "Replace", HasTimeStep: true } ? $"the OTP of {record.CredentialId} was right, and is used up, but of the new credential: " : "";

    private static string TheOtp(AuditRecord record, CurrentState now) =>
        record.HasTimeStep || now.CredentialOf(record) is null ? "the OTP" : $"the OTP for {record.CredentialId}";

    private static string Named(string credential) => credential.Length == 0 ? "the credential" : credential;

    private static string PolicyOf(AuditRecord record, CurrentState now) =>
        $"policy version {record.PolicyVersion}{(now.IsPolicyOf(record) ? "" : $" (now {now.Institution.PolicyVersion})")}";

    private static string Window(AuditRecord record, CurrentState now) => now.IsPolicyOf(record) ? $" ({Range(now)})" : "";

    private static string Range(CurrentState now) => now.WindowSteps == 0 ? "0" : $"-{now.WindowSteps} to +{now.WindowSteps}";

    private static string Signed(int steps) => steps.ToString("+0;-0;0", CultureInfo.InvariantCulture);

    private static string WidestMinutes => $"{Drift.Max.TotalMinutes:0}";

    private static string Reason(AuditRecord record) => record.Reason.Length == 0 ? "" : $": \"{record.Reason}\"";

    /// <summary>What was asked: "Verify of TRANSFER over PC_BROWSER", "Unlock by h.sato through desk-1".</summary>
    public static string Asked(AuditRecord record) => record.Rpc
        + (record.Purpose == Purpose.Unspecified ? "" : $" of {AnswerText.Text(record.Purpose)}")
        + (record.Channel == Channel.Unspecified ? "" : $" over {AnswerText.Text(record.Channel)}")
        + (record.OperatorId.Length == 0 ? "" : $" by {record.OperatorId}")
        + (RecordedAnswer.IsOfOtp(record) ? "" : $" through {record.CallerId}");
}
