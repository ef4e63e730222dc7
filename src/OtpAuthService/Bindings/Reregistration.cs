using OtpAuthService.Submissions;

namespace OtpAuthService.Bindings;

/// <summary>
/// OpenReregistration: lets a contractor whose credential was lost register another one, for a limited time. The lost one is never taken again at this
/// institution. Until the new one is registered everything else is refused as before.
/// </summary>
internal sealed class Reregistration(BindingActs acts)
{
    /// <returns>Accepted, or NotRegistered where the contractor's credential is not lost.</returns>
    public Task<Answer> OpenAsync(Submission submission, TimeSpan validFor, CancellationToken cancellation) =>
        acts.DecideAsync(submission, turn => new(Decide(turn, validFor)), cancellation);

    private static Verdict Decide(Turn turn, TimeSpan validFor)
    {
        if (turn.Binding is not { State: BindingState.Lost } binding)
        {
            return Verdict.Deny(Outcome.NotRegistered);
        }

        binding.ReregistrationUntil = turn.Now + validFor;
        return Verdict.Accepted with { CredentialRef = binding.CredentialRef, Events = [EventKind.ReregistrationOpened] };
    }
}
