using Microsoft.Extensions.DependencyInjection;
using OtpAuthService.Callers;
using OtpAuthService.Institutions;
using OtpAuthService.Storage;
using OtpAuthService.Submissions;

namespace OtpAuthService.Tests.Fixtures;

/// <summary>
/// Keeps a service's ledger waiting with one batch, so that what arrives meanwhile goes together into the next, in the order in which
/// it was sent. All places for writers are taken for that; a few seconds may pass before the service gives up on its own.
/// </summary>
internal sealed class HeldLedger : IAsyncDisposable
{
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(30);

    private readonly DecisionLedger ledger;
    private readonly TaskCompletionSource release = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly List<Task> held = [];
    private int sent;

    private HeldLedger(OtpService service) => ledger = service.Services.GetRequiredService<DecisionLedger>();

    public static async Task<HeldLedger> OfAsync(OtpService service)
    {
        var hold = new HeldLedger(service);
        for (var writer = 0; writer < service.Services.GetRequiredService<StoreSet>().MaxWriters; writer++)
        {
            var entered = new TaskCompletionSource();
            hold.held.Add(hold.ledger.DecideApartAsync(
                Undecided(async () =>
                {
                    entered.TrySetResult();
                    await hold.release.Task;
                }),
                Long));
            await entered.Task;
        }

        // A batch of one, which waits for a writer's place; whoever comes now waits for the batch after it.
        hold.held.Add(hold.ledger.DecideAsync(Undecided()));
        return hold;
    }

    /// <summary>A submission that takes a place and decides nothing.</summary>
    public static PendingDecision Undecided(Func<Task>? act = null) => new(
        new Submission(
            new Caller("test", CallerRoles.None, []), Calls.NewRequestId(), "Test", InstitutionId.Parse("demo"), Fingerprint: []),
        async _ =>
        {
            await (act?.Invoke() ?? Task.CompletedTask);
            return null;
        },
        CancellationToken.None);

    /// <summary>Makes a call and comes back when it waits for its batch.</summary>
    public async Task<Task<T>> SendAsync<T>(Func<Task<T>> call)
    {
        var answer = call();
        await WaitingAsync(++sent);
        return answer;
    }

    /// <summary>Makes all calls at once and comes back when all wait for their batch.</summary>
    public async Task<List<Task<T>>> SendAllAsync<T>(IEnumerable<Func<Task<T>>> calls)
    {
        var answers = calls.Select(call => call()).ToList();
        await WaitingAsync(sent += answers.Count);
        return answers;
    }

    public async ValueTask DisposeAsync()
    {
        release.TrySetResult();
        foreach (var task in held)
        {
            await task.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private Task WaitingAsync(int submissions) =>
        Eventually.IsTrueAsync(() => Task.FromResult(ledger.Waiting == submissions), $"{submissions} submissions wait for their batch", seconds: 3);
}
