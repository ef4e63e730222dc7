using OtpAuthService.V1;

namespace OtpCtl.Commands.Binding;

/// <summary>How it stands with a contractor now, and what the help desk can do about it.</summary>
internal static class StateText
{
    /// <summary>Sentences, the most important first.</summary>
    /// <param name="state">What the service tells.</param>
    /// <param name="now">The moment of it.</param>
    public static IEnumerable<string> Of(CurrentState state, DateTimeOffset now)
    {
        yield return OfBinding(state, now);
        yield return OfBudget(state);
        foreach (var sentence in OfCredential(state, now).Concat(OfTemporaryOtp(state, now)).Concat(OfInstitution(state, now)))
        {
            yield return sentence;
        }
    }

    /// <summary>Sentences, with the command where it takes one.</summary>
    /// <inheritdoc cref="Of" path="/param"/>
    /// <param name="last">What was decided last on an OTP of the contractor; null where nothing was.</param>
    public static IEnumerable<string> ToDo(CurrentState state, AuditRecord? last, DateTimeOffset now)
    {
        var customer = "Where the customer was identified";
        if (state.Binding?.Lockout is { } lockout)
        {
            yield return lockout.Until is { } until
                ? $"Wait until {AnswerText.Text(until)}. {customer}, end the lock: {Command(state, "unlock")}"
                : $"{customer}, end the lock: {Command(state, "unlock")}";
            if (lockout.Until is not null && state.Policy.ContractorMayUnlock)
            {
                yield return "By policy the customer may end it too, by two OTPs in a row (Resynchronize).";
            }
        }

        if (state.Binding?.TemporaryOtp is { AwaitsConfirmation: true } temporary && temporary.ExpiresAt.ToDateTimeOffset() > now)
        {
            yield return $"Another operator has to confirm the temporary OTP: otpctl binding confirm-temporary-otp --contractor {state.Contractor} --expires-at {AnswerText.Text(temporary.ExpiresAt)} --uses {temporary.UsesLeft} --reason '…' --apply";
        }

        switch (state.Newest?.State)
        {
            case null:
                yield return "To use OTPs, the customer registers a credential (利用登録).";
                break;
            case BindingState.Suspended:
                yield return "To use OTPs again, the customer registers a credential (利用登録).";
                break;
            case BindingState.Stopped:
                yield return $"Where the bank's reason for the stop is gone, resume the binding: {Command(state, "resume")}";
                break;
            case BindingState.Lost when IsOpen(state, now):
                yield return "The customer registers another credential (利用登録); the lost one is not taken again.";
                break;
            case BindingState.Lost:
                yield return $"{customer}, let another credential be registered: {Command(state, "open-reregistration")}";
                yield return $"Until then, where it has to be: {Command(state, "issue-temporary-otp")}";
                break;
            case BindingState.Active:
                if (OfActive(state, last) is { } advice)
                {
                    yield return advice;
                }

                break;
            default:
                throw new InvalidOperationException($"A newest binding in state {state.Newest?.State} is not known.");
        }
    }

    private static string? OfActive(CurrentState state, AuditRecord? last) => last?.Outcome switch
    {
        Outcome.OutOfSync => "The customer has the token's clock set, or enters two OTPs in a row where the front end asks for them (Resynchronize).",
        Outcome.AlreadyUsed => "The customer waits for the next OTP, and enters each one once.",
        Outcome.CredentialUnusable => "The customer replaces the credential, or has it exchanged by the bank.",
        Outcome.Mismatch when state.Binding?.Lockout is null =>
            $"The customer enters the OTP that {state.Newest!.CredentialId} shows now. Where the token is not at hand: {Command(state, "issue-temporary-otp")}",
        _ => null,
    };

    private static string OfBinding(CurrentState state, DateTimeOffset now)
    {
        if (state.Newest is not { } binding)
        {
            return $"{state.Contractor} never registered a credential.";
        }

        var ended = binding.EndedAt is { } at ? $" at {AnswerText.Text(at)}" : "";
        return binding.State switch
        {
            BindingState.Active => $"{binding.CredentialId} is in use since {AnswerText.Text(binding.RegisteredAt)}.",
            BindingState.Suspended =>
                $"The contractor has stopped using OTPs (利用停止){ended}; a LOGIN is then answered with {AnswerText.Text(state.Policy.SuspendedLogin)}, everything else denied.",
            BindingState.Stopped => $"The bank has stopped the binding of {binding.CredentialId}: everything is denied until it is resumed.",
            BindingState.Lost => $"{binding.CredentialId} was reported lost{ended}: everything is denied but a temporary OTP.{OfReregistration(binding.ReregistrationUntil, now)}",
            var other => throw new InvalidOperationException($"A newest binding in state {other} is not known."),
        };
    }

    private static string OfReregistration(Google.Protobuf.WellKnownTypes.Timestamp? until, DateTimeOffset now) =>
        until is null ? ""
        : $" Another credential {(until.ToDateTimeOffset() > now ? "may" : "could")} be registered until {AnswerText.Text(until)}.";

    private static bool IsOpen(CurrentState state, DateTimeOffset now) => state.Newest?.ReregistrationUntil?.ToDateTimeOffset() > now;

    private static string OfBudget(CurrentState state)
    {
        var (policy, failures) = (state.Policy, state.Failures);
        var counted = failures == 1 ? "1 wrong OTP" : $"{failures} wrong OTPs in a row";
        if (state.Binding?.Lockout is { } lockout)
        {
            return lockout.Until is { } until
                ? $"Locked until {AnswerText.Text(until)}, after {counted}; number {policy.HardLimit} locks until an operator unlocks."
                : $"Locked until an operator unlocks, after {counted}.";
        }

        if (failures == 0)
        {
            return $"Not locked, and no wrong OTP is counted: {policy.TemporaryLimit} in a row lock for {AnswerCause.Minutes(policy.TemporaryLock)}.";
        }

        return failures >= policy.TemporaryLimit
            ? $"Not locked any more, but {counted} are counted: at most {state.AttemptsLeft} more lock until an operator unlocks."
            : $"Not locked: {counted} {(failures == 1 ? "is" : "are")} counted, {state.AttemptsLeft} more lock for {AnswerCause.Minutes(policy.TemporaryLock)}.";
    }

    private static IEnumerable<string> OfCredential(CurrentState state, DateTimeOffset now)
    {
        if (state.Newest is not { State: BindingState.Active or BindingState.Stopped } binding || !state.Credentials.TryGetValue(binding.CredentialId, out var credential))
        {
            yield break;
        }

        var id = credential.CredentialId;
        yield return credential.DriftSteps == 0
            ? $"The clock of {id} is not known to be off."
            : $"The clock of {id} is known to be {AnswerCause.Steps(credential.DriftSteps, credential.PeriodSeconds)} {(credential.DriftSteps < 0 ? "behind" : "ahead")}, and OTPs are expected accordingly.";
        if (credential.Status == CredentialStatus.Lost)
        {
            yield return state.Policy.ForeignLossReports == ForeignLossReports.Block
                ? $"Another institution has reported {id} lost: by policy it is refused here too."
                : $"Another institution has reported {id} lost: by policy it goes on working here.";
        }

        if (credential.ValidFrom?.ToDateTimeOffset() > now)
        {
            yield return $"{id} is not valid before {AnswerText.Text(credential.ValidFrom)}.";
        }

        if (credential.ValidUntil is { } until)
        {
            yield return $"The validity of {id} {(until.ToDateTimeOffset() > now ? "ends" : "ended")} at {AnswerText.Text(until)}.";
        }
    }

    private static IEnumerable<string> OfTemporaryOtp(CurrentState state, DateTimeOffset now)
    {
        if (state.Binding?.TemporaryOtp is not { } temporary)
        {
            yield break;
        }

        var until = AnswerText.Text(temporary.ExpiresAt);
        yield return temporary.ExpiresAt.ToDateTimeOffset() <= now ? $"A temporary OTP expired at {until}."
            : temporary.AwaitsConfirmation ? $"A temporary OTP awaits its confirmation, until {until}."
            : $"A temporary OTP is taken {(temporary.UsesLeft == 1 ? "once" : $"{temporary.UsesLeft} times")} more, until {until}.";
    }

    private static IEnumerable<string> OfInstitution(CurrentState state, DateTimeOffset now)
    {
        if (state.Binding is { NeverBypassed: true })
        {
            yield return "By own wish the contractor is never answered without an OTP (モバイルIB).";
        }

        if (state.Institution.BypassStoppedAt is { } stopped)
        {
            yield return $"Nobody of the institution is answered without an OTP since {AnswerText.Text(stopped)} (bypass stop).";
        }

        if (state.Fence.Fence is { } fence && fence.ToDateTimeOffset() > now)
        {
            yield return $"A fence refuses every OTP up to {AnswerText.Text(fence)}, at every institution.";
        }

        if (state.Policy.OutcomeDetail == OutcomeDetail.Generic)
        {
            yield return "By policy front ends are told MISMATCH for every refusal; what stands here is what was decided.";
        }

        yield return $"Policy version {state.Institution.PolicyVersion} is in force.";
    }

    private static string Command(CurrentState state, string verb) => $"otpctl binding {verb} --contractor {state.Contractor} --reason '…' --apply";
}
