using OtpAuthService.Submissions;

namespace OtpAuthService.Bindings;

/// <summary>
/// SuspendBinding and ResumeBinding: the bank's own stop. While it lasts everything is denied, a bypass too: unlike the contractor's own 利用停止
/// (<see cref="Suspension"/>), after which logins go on without OTPs.
/// </summary>
internal sealed class BindingStop(BindingActs acts)
{
    /// <returns>Accepted, or NotRegistered where there is no active binding to stop.</returns>
    public Task<Answer> StopAsync(Submission submission, CancellationToken cancellation) =>
        TurnAsync(submission, BindingState.Active, BindingState.Stopped, EventKind.Stopped, cancellation);

    /// <returns>Accepted, or NotRegistered where the binding is not stopped.</returns>
    public Task<Answer> ResumeAsync(Submission submission, CancellationToken cancellation) =>
        TurnAsync(submission, BindingState.Stopped, BindingState.Active, EventKind.Resumed, cancellation);

    private Task<Answer> TurnAsync(Submission submission, BindingState from, BindingState to, EventKind told, CancellationToken cancellation) => acts.DecideAsync(
        submission,
        turn =>
        {
            // One that is there already: what was asked for holds.
            if (turn.Binding is not { } binding || (binding.State != from && binding.State != to))
            {
                return new(Verdict.Deny(Outcome.NotRegistered));
            }

            var changes = binding.State != to;
            binding.State = to;
            return new(Verdict.Accepted with { CredentialRef = binding.CredentialRef, Events = changes ? [told] : [] });
        },
        cancellation);
}
