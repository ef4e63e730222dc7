using System.Diagnostics;
using OtpAuthService.Bindings;
using OtpAuthService.Institutions;
using OtpAuthService.Submissions;

namespace OtpAuthService.Services;

/// <summary>
/// Answers of institutions with generic detail: whatever is not a success looks the same and takes the same time, so that answers shown as they
/// are tell nobody who is registered, locked or lost. Records, metrics and stored answers keep what was decided.
/// </summary>
internal sealed class GenericAnswers(InstitutionDirectory institutions)
{
    /// <summary>
    /// Such an answer leaves a multiple of this after its request was read. A refusal takes 2 to 9 ms of work, and a few times that on a busy
    /// server, so that all leave with the first one; real time, because it is what an attacker measures.
    /// </summary>
    private static readonly TimeSpan Quantum = TimeSpan.FromMilliseconds(50);

    /// <param name="answer">What was decided.</param>
    /// <param name="contractor">About whom.</param>
    /// <param name="arrived">When the request was read, as <see cref="Stopwatch"/> tells time.</param>
    /// <param name="cancellation">The caller no longer waits.</param>
    /// <returns>What to answer.</returns>
    public async ValueTask<Answer> CoverAsync(Answer answer, ContractorRef contractor, long arrived, CancellationToken cancellation)
    {
        if (answer.Verdict.Outcome is Outcome.Accepted or Outcome.Bypassed || !await AreForAsync(contractor, cancellation))
        {
            return answer;
        }

        await WaitAsync(arrived, cancellation);
        return answer with { Verdict = Verdict.Deny(Outcome.Mismatch) };
    }

    /// <returns>What to answer where nobody is told more than that an OTP is asked for.</returns>
    /// <inheritdoc cref="CoverAsync(Answer, ContractorRef, long, CancellationToken)" path="/param"/>
    public async ValueTask<(Requirement Requirement, TimeSpan? RetryAfter)> CoverAsync(
        (Requirement Requirement, TimeSpan? RetryAfter) answer, ContractorRef contractor, Channel channel, long arrived, CancellationToken cancellation)
    {
        if (!await AreForAsync(contractor, cancellation))
        {
            return answer;
        }

        await WaitAsync(arrived, cancellation);
        return (channel == Channel.FeaturePhone || answer.Requirement == Requirement.Exempt ? Requirement.Exempt : Requirement.Required, null);
    }

    private async ValueTask<bool> AreForAsync(ContractorRef contractor, CancellationToken cancellation) =>
        (await institutions.FindAsync(contractor.Institution, cancellation)).OutcomeDetail == OutcomeDetail.Generic;

    private static Task WaitAsync(long arrived, CancellationToken cancellation)
    {
        var elapsed = Stopwatch.GetElapsedTime(arrived);
        return Task.Delay(Quantum - TimeSpan.FromTicks(elapsed.Ticks % Quantum.Ticks), cancellation);
    }
}
